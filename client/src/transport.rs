//! One attempt: a request to one router over pooled connections.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::call::Call;
use crate::error::Cause;

/// The largest answer that is read into memory: a page of a listing, at most.
const BODY_BYTES_MAX: usize = 256 << 20;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Idle connections are given up before a router would close them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// A router is asked to answer within the attempt's time; its answer gets this much longer for the way back.
const GRACE: Duration = Duration::from_millis(100);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Connections to all routers.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Transport {
    /// Without any connection yet.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client }
    }

    /// Makes one attempt within about `budget` and reads the answer whole.
    ///
    /// # Errors
    /// [`Cause::Connect`] when the request was certainly not sent; the others leave that open.
    pub(crate) async fn attempt(
        &self,
        router: &str,
        call: &Call,
        budget: Duration,
    ) -> Result<Response, Cause> {
        let asked_ms = budget.as_millis().clamp(1, 60_000);
        let exchange = async {
            let response = self.send(router, call, Some(asked_ms)).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| Cause::Lost { router: router.to_owned(), detail: error.to_string() })?;
            Ok(Response { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(budget + GRACE, exchange).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Cause::TimedOut { router: router.to_owned(), after: budget + GRACE }),
        }
    }

    /// Makes one attempt and leaves the body to the caller; `budget` covers the time to the answer's head.
    ///
    /// # Errors
    /// As [`Self::attempt`].
    pub(crate) async fn open(
        &self,
        router: &str,
        call: &Call,
        budget: Duration,
    ) -> Result<hyper::Response<Incoming>, Cause> {
        match tokio::time::timeout(budget, self.send(router, call, None)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Cause::TimedOut { router: router.to_owned(), after: budget }),
        }
    }

    async fn send(
        &self,
        router: &str,
        call: &Call,
        timeout_ms: Option<u128>,
    ) -> Result<hyper::Response<Incoming>, Cause> {
        let request = call
            .request(router, timeout_ms)
            .map_err(|error| Cause::Connect { router: router.to_owned(), detail: error.to_string() })?;
        self.client.request(request).await.map_err(|error| {
            let detail = innermost(&error);
            if error.is_connect() {
                Cause::Connect { router: router.to_owned(), detail }
            } else {
                Cause::Lost { router: router.to_owned(), detail }
            }
        })
    }
}

/// The text of the last error in the chain: the system's own words.
fn innermost(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
