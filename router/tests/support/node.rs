//! A node whose replica and store live in memory. It can be frozen, as SIGSTOP would, and told to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use roundtable_common::scan::page_of;
use roundtable_common::wire::{
    BATCH_PATH, Refused, SCAN_PATH, Target, decode_requests, decode_scan, encode_hello, encode_page,
    encode_refusal, encode_replies,
};
use roundtable_consensus::{
    Adopted, Ballot, Conditions, DiskSpace, Handled, Hello, Key, Lookup, NodeId, PartitionId, PromiseLimits,
    Register, Replica, ReplicaConfig, ScanPage, ScanRequest, StorageId, Stored, StripedPromises, Write,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) struct TestNode {
    pub(crate) id: NodeId,
    pub(crate) storage: StorageId,
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    frozen: watch::Sender<bool>,
}

struct State {
    replica: Replica<StripedPromises>,
    registers: BTreeMap<Key, (PartitionId, Register)>,
    id: NodeId,
    storage: StorageId,
    adopted: Option<Adopted>,
    disk: DiskSpace,
    /// How long each scan takes.
    scan_pause: Duration,
    /// No scan is answered: the queues are full.
    refuses_scans: bool,
    /// Where requests came, and whether they were Accepts.
    came: BTreeSet<(String, bool)>,
}

impl TestNode {
    pub(crate) async fn start(id: &str, storage: StorageId) -> Self {
        let id: NodeId = id.parse().unwrap();
        let replica = Replica::new(
            ReplicaConfig::STANDARD,
            StripedPromises::new(PromiseLimits::STANDARD),
            Ballot::ZERO,
        );
        let state = State {
            replica,
            registers: BTreeMap::new(),
            id: id.clone(),
            storage,
            adopted: None,
            disk: DiskSpace::Enough,
            scan_pause: Duration::ZERO,
            refuses_scans: false,
            came: BTreeSet::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, thawed) = watch::channel(false);
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, thawed) = (Arc::clone(&serving), thawed.clone());
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer(Arc::clone(&state), thawed.clone(), request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { id, storage, address, state, frozen }
    }

    pub(crate) fn adopt(&self, adopted: &Adopted) {
        self.state.lock().unwrap().adopted = Some(adopted.clone());
    }

    /// Answers nothing until it is thawed.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Takes this long for each scan; everything else is answered as ever.
    pub(crate) fn slow_scans(&self, pause: Duration) {
        self.state.lock().unwrap().scan_pause = pause;
    }

    /// Refuses every scan for having too much to do.
    pub(crate) fn refuse_scans(&self) {
        self.state.lock().unwrap().refuses_scans = true;
    }

    pub(crate) fn set_disk(&self, disk: DiskSpace) {
        self.state.lock().unwrap().disk = disk;
    }

    /// Pretends to be another node, or to have lost its disk.
    pub(crate) fn set_identity(&self, id: &str, storage: StorageId) {
        let mut state = self.state.lock().unwrap();
        state.id = id.parse().unwrap();
        state.storage = storage;
    }

    /// Where requests came, and whether they were Accepts.
    pub(crate) fn came(&self) -> BTreeSet<(String, bool)> {
        self.state.lock().unwrap().came.clone()
    }

    /// How many registers it holds.
    pub(crate) fn register_count(&self) -> usize {
        self.state.lock().unwrap().registers.len()
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    mut frozen: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri().clone();
    let is_get = request.method() == "GET";
    let body = request.into_body().collect().await.unwrap().to_bytes();
    frozen.wait_for(|frozen| !frozen).await.unwrap();
    if uri.path() == SCAN_PATH {
        let pause = state.lock().unwrap().scan_pause;
        tokio::time::sleep(pause).await;
    }
    let mut state = state.lock().unwrap();
    let answer = if is_get {
        encode_hello(&state.hello())
    } else if uri.path() == BATCH_PATH {
        state.batch(&uri.to_string(), body)
    } else {
        state.scan(body)
    };
    Ok(Response::new(Full::new(answer)))
}

impl State {
    fn me(&self) -> Target {
        match &self.adopted {
            Some(adopted) => Target {
                cluster: adopted.cluster,
                node: self.id.clone(),
                storage: self.storage,
                epoch: adopted.configuration.epoch,
            },
            None => Target::unbound(self.id.clone(), self.storage),
        }
    }

    fn hello(&self) -> Hello {
        let adopted = self.adopted.clone().unwrap();
        Hello {
            node: self.id.clone(),
            storage: self.storage,
            file_epoch: adopted.configuration.epoch,
            file_digest: adopted.configuration.digest(),
            bound: Some(adopted.cluster),
            adopted: Some(adopted),
            node_ms: now_ms(),
            ready: true,
            reason: String::new(),
            shortage: None,
        }
    }

    fn batch(&mut self, path: &str, body: Bytes) -> Bytes {
        let (target, requests) = decode_requests(body).unwrap();
        self.came.extend(requests.iter().map(|request| (path.to_owned(), request.body.is_durable())));
        let me = self.me();
        if let Err(refused) = target.check(&me) {
            return encode_refusal(&me, now_ms(), &refused);
        }
        let conditions =
            Conditions { now_ms: now_ms(), disk: self.disk, purge_floor: Ballot::ZERO, done: true };
        let mut replies = Vec::new();
        for request in requests {
            let hash = xxh3_64(request.key.as_bytes());
            let stored = self.registers.get(&request.key);
            let stored = stored.map(|(_, register)| Stored { register: register.clone(), spilled: false });
            let lookup = Lookup { as_of: self.replica.durable(), stored };
            let mut out = Handled::default();
            self.replica.handle(&conditions, request, hash, Some(lookup), &mut out);
            for (ticket, write) in out.writes {
                if let Write::Accept { partition, key, register, .. } = write {
                    self.registers.insert(key, (partition, register.as_ref().clone()));
                }
                self.replica.committed(ticket);
            }
            replies.extend(out.replies.into_iter().map(|(reply, _)| reply));
        }
        encode_replies(&me, now_ms(), &replies)
    }

    fn scan(&self, body: Bytes) -> Bytes {
        let (target, scan) = decode_scan(body).unwrap();
        let me = self.me();
        match target.check(&me) {
            Ok(()) if self.refuses_scans => encode_refusal(&me, now_ms(), &Refused::Overloaded),
            Ok(()) => encode_page(&me, now_ms(), &self.page(&scan)),
            Err(refused) => encode_refusal(&me, now_ms(), &refused),
        }
    }

    fn page(&self, scan: &ScanRequest) -> ScanPage {
        let registers = self.registers.iter().map(|(key, (partition, register))| (*partition, key, register));
        page_of(scan, registers, u64::MAX)
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
