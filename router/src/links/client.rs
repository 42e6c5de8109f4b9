//! Single questions to a node: probes, scans, and one key's state. They travel apart from the batches.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use roundtable_common::listen::HostPort;
use tokio::time::timeout;

use crate::links::connection::{Connection, LinkError};

/// Idle connections kept.
const IDLE_MAX: usize = 4;

/// Asks one node, with a few connections kept open.
pub struct NodeClient {
    address: HostPort,
    connect_timeout: Duration,
    idle: Mutex<Vec<Connection>>,
}

impl NodeClient {
    /// A client without connections yet.
    #[must_use]
    pub fn new(address: HostPort, connect_timeout: Duration) -> Self {
        Self { address, connect_timeout, idle: Mutex::new(Vec::new()) }
    }

    /// Where the node is.
    #[must_use]
    pub fn address(&self) -> &HostPort {
        &self.address
    }

    /// Asks, and waits for the answer's body for `limit` at most. A question that a kept connection could not carry
    /// is asked once more over a new one: all that is asked here may be asked twice.
    ///
    /// # Errors
    /// When there is no answer with status 200 in time.
    pub async fn ask(
        &self,
        path_and_query: &str,
        body: Option<Bytes>,
        limit: Duration,
    ) -> Result<Bytes, LinkError> {
        timeout(limit, self.ask_untimed(path_and_query, body)).await.unwrap_or(Err(LinkError::Timeout(limit)))
    }

    async fn ask_untimed(&self, path_and_query: &str, body: Option<Bytes>) -> Result<Bytes, LinkError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = kept.filter(Connection::is_open)
            && let Ok(answer) = connection.exchange(request(path_and_query, body.clone())).await
        {
            self.keep(connection);
            return Ok(answer);
        }
        let mut connection = Connection::open(&self.address, self.connect_timeout).await?;
        let answer = connection.exchange(request(path_and_query, body)).await?;
        self.keep(connection);
        Ok(answer)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_open() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

fn request(path_and_query: &str, body: Option<Bytes>) -> Request<Full<Bytes>> {
    let builder = Request::builder().uri(path_and_query);
    let request = match body {
        Some(body) => builder.method("POST").body(Full::new(body)),
        None => builder.method("GET").body(Full::default()),
    };
    // Paths are constants with a node's name, all of them characters that an address may have.
    request.unwrap_or_default()
}
