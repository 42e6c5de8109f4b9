//! One connection's operations.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::bench::connection::{CallError, Connection, Endpoint};
use crate::bench::plan::Plan;
use crate::bench::recorder::Ending;
use crate::bench::request::{Condition, Request};
use crate::bench::workload::Kind;

/// A scan asks for 1 to so many keys, every number alike: YCSB's workload E.
const SCAN_KEYS_MAX: u32 = 100;

/// A read-modify-write that lost the race so often is given up.
const CONFLICTS_MAX: u64 = 1_000;

/// How long a connection that failed waits before it is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// A connection to one router, opened again after each failure, and its source of chance.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    plan: &'a Plan,
    endpoint: &'a Endpoint,
    connection: Option<Connection>,
    random: StdRng,
    /// Room for the `ETag` that a read-modify-write rests on.
    etag: Vec<u8>,
}

impl<'a> Session<'a> {
    /// To one router, with a seed of its own.
    pub(crate) fn new(plan: &'a Plan, endpoint: &'a Endpoint, seed: u64) -> Self {
        Self { plan, endpoint, connection: None, random: StdRng::seed_from_u64(seed), etag: Vec::new() }
    }

    /// The kind of the next operation.
    pub(crate) fn draw(&mut self) -> Kind {
        self.plan.shape.draw(&mut self.random)
    }

    /// One operation of this kind, to its end.
    pub(crate) async fn perform(&mut self, kind: Kind) -> Ending {
        let ended = match kind {
            Kind::Get => self.get().await,
            Kind::Put => {
                let key = self.key();
                self.put(key, Condition::Any).await
            }
            Kind::Insert => {
                let key = self.plan.inserts.begin();
                let ended = self.put(key, Condition::Any).await;
                self.plan.inserts.end(key);
                ended
            }
            Kind::Scan => self.scan().await,
            Kind::ReadModifyWrite => self.read_modify_write().await,
        };
        ended.unwrap_or_else(Ending::Failed)
    }

    /// After an operation without an answer: lets the router come back.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }

    /// Writes one key.
    pub(crate) async fn write(&mut self, key: u64) -> Ending {
        self.put(key, Condition::Any).await.unwrap_or_else(Ending::Failed)
    }

    /// Deletes one key.
    pub(crate) async fn delete(&mut self, key: u64) -> Ending {
        match self.call(Request::Delete { key }, Bytes::new()).await {
            Ok(status @ (200..300 | 404)) => Ending::Answered { missing: status == 404, conflicts: 0 },
            Ok(status) => Ending::Status(status),
            Err(error) => Ending::Failed(error),
        }
    }

    fn key(&mut self) -> u64 {
        self.plan.keys.draw(&self.plan.inserts, &mut self.random)
    }

    async fn get(&mut self) -> Result<Ending, CallError> {
        let key = self.key();
        Ok(match self.call(Request::Get { key }, Bytes::new()).await? {
            status @ (200 | 404) => Ending::Answered { missing: status == 404, conflicts: 0 },
            status => Ending::Status(status),
        })
    }

    async fn put(&mut self, key: u64, condition: Condition<'_>) -> Result<Ending, CallError> {
        let value = self.plan.value(&mut self.random);
        let request = Request::Put { key, value_bytes: value.len(), condition };
        let plan = self.plan;
        let creating = plan.created.begin(key);
        let called = self.call(request, value).await;
        creating.end(&called);
        Ok(match called? {
            200..300 => Ending::Answered { missing: false, conflicts: 0 },
            status => Ending::Status(status),
        })
    }

    async fn scan(&mut self) -> Result<Ending, CallError> {
        let start = self.key();
        let limit = self.random.random_range(1..=SCAN_KEYS_MAX);
        Ok(match self.call(Request::Scan { start, limit }, Bytes::new()).await? {
            200 => Ending::Answered { missing: false, conflicts: 0 },
            status => Ending::Status(status),
        })
    }

    async fn read_modify_write(&mut self) -> Result<Ending, CallError> {
        let key = self.key();
        let mut etag = std::mem::take(&mut self.etag);
        let mut conflicts = 0;
        let ending = loop {
            let missing = match self.call(Request::Get { key }, Bytes::new()).await? {
                status @ (200 | 404) => status == 404,
                status => break Ending::Status(status),
            };
            etag.clear();
            etag.extend_from_slice(self.connection.as_ref().map(Connection::etag).unwrap_or_default());
            let condition = if missing { Condition::Absent } else { Condition::Match(&etag) };
            match self.put(key, condition).await? {
                Ending::Answered { .. } => break Ending::Answered { missing, conflicts },
                Ending::Status(412) if conflicts < CONFLICTS_MAX => conflicts += 1,
                other => break other,
            }
        };
        self.etag = etag;
        Ok(ending)
    }

    /// One request over the connection, which is dropped after an error.
    async fn call(&mut self, request: Request<'_>, value: Bytes) -> Result<u16, CallError> {
        let mut connection = self.open().await?;
        let status = connection.call(&self.plan.requests, request, value).await?;
        self.connection = Some(connection);
        Ok(status)
    }

    /// The connection, opened if need be.
    async fn open(&mut self) -> Result<Connection, CallError> {
        match self.connection.take() {
            Some(connection) if connection.is_open() => Ok(connection),
            _ => self.endpoint.connect().await,
        }
    }
}
