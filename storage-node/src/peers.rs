//! Asking another node who it is.
//!
//! Each question takes a connection of its own and resolves the name again, so a node that moved is found. This is
//! done a few times a second while a cluster is founded, and never after.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use roundtable_common::listen::HostPort;
use roundtable_common::wire::{HELLO_PATH, WireError, decode_hello};
use roundtable_consensus::{Hello, NodeId};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A hello with the largest configuration stays far below.
const HELLO_BYTES_MAX: usize = 1 << 20;

/// Why a node gave no hello.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address in the configuration cannot be understood.
    #[error(transparent)]
    Address(#[from] roundtable_common::listen::ParseAddressError),
    /// No connection.
    #[error("{address}: {source}")]
    Connect {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke, or does not speak HTTP.
    #[error("{address}: {source}")]
    Http {
        /// The address.
        address: String,
        /// What was wrong.
        source: hyper::Error,
    },
    /// No answer in time.
    #[error("{address}: no answer within {} ms", waited.as_millis())]
    Timeout {
        /// The address.
        address: String,
        /// How long was waited.
        waited: Duration,
    },
    /// An answer that is no hello.
    #[error("{address}: answers HTTP status {status}, so it is not a storage node")]
    Status {
        /// The address.
        address: String,
        /// The status.
        status: StatusCode,
    },
    /// A body that is no hello.
    #[error("{address}: {source}")]
    Body {
        /// The address.
        address: String,
        /// What was wrong.
        source: WireError,
    },
    /// A body that is too long, or ended early.
    #[error("{address}: the answer is cut or too long: {detail}")]
    Receive {
        /// The address.
        address: String,
        /// What was wrong.
        detail: String,
    },
}

/// Asks the node at `address`, which should be `expected`, who it is.
///
/// # Errors
/// When there is no proper answer within `wait`.
pub async fn ask_hello(address: &str, expected: &NodeId, wait: Duration) -> Result<Hello, AskError> {
    let timed_out = |_| AskError::Timeout { address: address.to_owned(), waited: wait };
    timeout(wait, exchange(address, expected)).await.map_err(timed_out)?
}

async fn exchange(address: &str, expected: &NodeId) -> Result<Hello, AskError> {
    let named = || address.to_owned();
    let host: HostPort = address.parse()?;
    let stream = TcpStream::connect((host.host(), host.port()))
        .await
        .map_err(|source| AskError::Connect { address: named(), source })?;
    let http = |source| AskError::Http { address: named(), source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    // Ends with the exchange: the sender is dropped then.
    tokio::spawn(connection);
    let request = Request::get(format!("{HELLO_PATH}?node={expected}")).header(HOST, host.to_string());
    let Ok(request) = request.body(Empty::<Bytes>::new()) else {
        unreachable!("a node id and an address are fit for a request's head")
    };
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(AskError::Status { address: named(), status });
    }
    let body = Limited::new(response.into_body(), HELLO_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| AskError::Receive { address: named(), detail: error.to_string() })?;
    decode_hello(body.to_bytes()).map_err(|source| AskError::Body { address: named(), source })
}
