//! What the tests share: registers, requests, single-node clusters, a small HTTP client.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioIo;
use roundtable_common::settings::Settings;
use roundtable_common::wire::{self, ReplyBatch, Target, decode_replies, encode_requests};
use roundtable_consensus::{
    Ballot, Configuration, Content, ContentType, Epoch, Hello, Hlc, Key, Member, NodeId, PartitionId,
    ProposerId, Register, Reply, Request, RequestBody, Value, Version,
};
use roundtable_node::clock::unix_ms;
use roundtable_node::config::{Config, VARIABLE_PREFIX};
use roundtable_node::run::{NodeError, Running, Start};
use roundtable_node::store::directory::DirectoryError;
use roundtable_node::store::{OpenError, Store, StoreOptions};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest wait for anything: a failing test ends, a passing one never comes near.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A ballot of now, above all that were made before.
pub(crate) fn next_ballot() -> Ballot {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = Hlc::from_millis(unix_ms()).0;
    let previous =
        LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1))).unwrap();
    Ballot::new(Hlc(now.max(previous + 1)), ProposerId(7))
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}

/// A register that a round at `accepted` wrote.
pub(crate) fn register(accepted: Ballot, value: impl Into<Bytes>) -> Register {
    let value = Value { bytes: value.into(), content_type: ContentType::text() };
    Register {
        accepted,
        version: Version { ballot: accepted, index: 0 },
        content: Content::Live(value),
        ..Register::absent(Ballot::ZERO)
    }
}

pub(crate) fn tombstone(accepted: Ballot) -> Register {
    Register { accepted, version: Version { ballot: accepted, index: 0 }, ..Register::absent(Ballot::ZERO) }
}

pub(crate) fn value_of(register: &Register) -> &[u8] {
    &register.content.value().unwrap().bytes
}

/// Small memory, so that many stores fit one machine.
pub(crate) fn store_options() -> StoreOptions {
    StoreOptions { block_cache_bytes: 8 << 20, write_buffer_bytes: 8 << 20, ..StoreOptions::default() }
}

pub(crate) fn open(path: &Path) -> Store {
    try_open(path).unwrap()
}

/// Opens a directory that nobody else has open.
pub(crate) fn try_open(path: &Path) -> Result<Store, OpenError> {
    until_unlocked(
        || Store::open(path, &store_options()),
        |error| matches!(error, OpenError::Directory(DirectoryError::Locked { .. })),
    )
}

/// Tries again while a directory that this process has closed looks locked: a child that another test starts shares
/// this process's locks between its fork and its exec.
fn until_unlocked<T, E>(attempt: impl Fn() -> Result<T, E>, is_locked: impl Fn(&E) -> bool) -> Result<T, E> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_locked(&error) && started.elapsed() < PATIENCE => std::thread::yield_now(),
            result => return result,
        }
    }
}

/// Commits one register by itself, spilled as the replica would.
pub(crate) fn commit(store: &Store, partition: u16, key: &Key, register: &Register, was_spilled: bool) {
    let mut commit = store.begin_commit();
    let register = Arc::new(register.clone());
    commit.accept(PartitionId(partition), key, &register, spills(&register), was_spilled, 0);
    commit.write().unwrap();
}

pub(crate) fn spills(register: &Register) -> bool {
    register.content.value().is_some_and(|value| value.bytes.len() > 4096)
}

/// A cluster file of `count` nodes n1, n2, … that listen at the given ports.
pub(crate) fn configuration(ports: &[u16]) -> Configuration {
    let node = |(index, port): (usize, &u16)| Member {
        id: format!("n{}", index + 1).parse().unwrap(),
        address: format!("127.0.0.1:{port}"),
        zone: None,
        weight: 1,
    };
    let nodes: Vec<Member> = ports.iter().enumerate().map(node).collect();
    let replication_factor = u8::try_from(nodes.len()).unwrap().min(3);
    Configuration { epoch: Epoch(1), replication_factor, partitions: 16, nodes }
}

/// Ports that nobody listens on now.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

pub(crate) fn settings(text: &str) -> Config {
    let small = "block_cache = '8 MiB'\nwrite_buffer = '8 MiB'\nfree_bytes_min = 0\n";
    Config::new(Settings::parse(&format!("{small}{text}"), VARIABLE_PREFIX, [])).unwrap()
}

/// A node inside this process.
pub(crate) struct TestNode {
    pub(crate) address: SocketAddr,
    pub(crate) id: NodeId,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), NodeError>>,
}

impl TestNode {
    pub(crate) fn start(
        id: &str,
        data_dir: &Path,
        file: &Configuration,
        extra_settings: &str,
    ) -> Result<Self, NodeError> {
        let start = Start {
            id: id.parse().unwrap(),
            data_dir: data_dir.to_owned(),
            file: file.clone(),
            config: settings(extra_settings),
            insecure_listen: false,
        };
        let running = until_unlocked(
            || Running::start(start.clone()),
            |error| matches!(error, NodeError::Open(OpenError::Directory(DirectoryError::Locked { .. }))),
        )?;
        let (stop, stopped) = oneshot::channel::<()>();
        let address = running.address();
        let ended = tokio::spawn(running.run(async move { drop(stopped.await) }));
        Ok(Self { address, id: id.parse().unwrap(), stop: Some(stop), ended })
    }

    /// A cluster of one node on a free port, voting.
    pub(crate) async fn alone(data_dir: &Path, extra_settings: &str) -> Self {
        let node = Self::start("n1", data_dir, &configuration(&free_ports(1)), extra_settings).unwrap();
        node.until_ready().await;
        node
    }

    pub(crate) async fn hello(&self) -> Hello {
        hello(self.address).await
    }

    /// Waits until the node votes; returns whom requests must name.
    pub(crate) async fn until_ready(&self) -> Target {
        let hello = until(async || Some(self.hello().await).filter(|hello| hello.ready)).await;
        let adopted = hello.adopted.unwrap();
        Target {
            cluster: adopted.cluster,
            node: self.id.clone(),
            storage: hello.storage,
            epoch: adopted.configuration.epoch,
        }
    }

    pub(crate) async fn stop(mut self) -> Result<(), NodeError> {
        drop(self.stop.take());
        self.ended.await.unwrap()
    }
}

pub(crate) async fn hello(address: SocketAddr) -> Hello {
    let (status, body) = get(address, "/replica/v1/hello?node=n1").await;
    assert_eq!(status, StatusCode::OK);
    wire::decode_hello(body).unwrap()
}

/// Asks again until there is an answer.
pub(crate) async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "it never came");
        tokio::task::yield_now().await;
    }
}

/// A request on a key of a cluster with the tests' 16 partitions.
pub(crate) fn request(id: u64, key: &Key, body: RequestBody) -> Request {
    let partition = roundtable_common::placement::partition_of(key, 16);
    Request { id, partition, done: true, key: key.clone(), body }
}

pub(crate) fn accept(register: Register) -> RequestBody {
    RequestBody::Accept { register: register.into(), next: None }
}

pub(crate) async fn batch(address: SocketAddr, target: &Target, requests: &[Request]) -> ReplyBatch {
    let (status, body) = post(address, wire::BATCH_PATH, encode_requests(target, requests)).await;
    assert_eq!(status, StatusCode::OK);
    decode_replies(body).unwrap()
}

/// The replies to a batch that is not refused.
pub(crate) async fn replies(address: SocketAddr, target: &Target, requests: &[Request]) -> Vec<Reply> {
    let answered = batch(address, target, requests).await;
    assert_eq!(&answered.sender, target);
    answered.outcome.unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (StatusCode, Bytes) {
    send(address, HttpRequest::get(path).body(Full::default()).unwrap()).await.unwrap()
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: Bytes) -> (StatusCode, Bytes) {
    send(address, HttpRequest::post(path).body(Full::new(body)).unwrap()).await.unwrap()
}

/// One request on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    mut request: HttpRequest<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    request.headers_mut().insert("host", "node".parse()?);
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
