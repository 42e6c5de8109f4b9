//! What each endpoint does.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use roundtable_common::serve::BareRequest;
use roundtable_common::telemetry::METRICS_CONTENT_TYPE;
use roundtable_common::view::View;
use roundtable_common::wire::{
    self, Refused, decode_requests, decode_scan, encode_hello, encode_page, encode_refusal, encode_replies,
    reply_size_hint,
};
use roundtable_consensus::{Hello, Rejection, Reply, Request};
use serde_json::json;

use crate::body::{AnswerBody, receive};
use crate::budget::Held;
use crate::clock::unix_ms;
use crate::node::Node;
use crate::store::Scanned;

/// Bodies beyond this many bytes are read and made off the async threads: copying and summing them takes long
/// enough to delay other connections.
const OFFLOAD_BYTES_MIN: usize = 256 << 10;
/// Entries in one page at most, whatever the asker says.
const PAGE_ENTRIES_MAX: u32 = 16_384;
/// The media type of answers to people.
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
/// Bytes in one page at most, whatever the asker says; one entry more may follow.
const PAGE_BYTES_MAX: u32 = 16 << 20;

/// Nothing can be answered: the connection is closed instead, which the asker takes for a lost message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping and cannot answer")]
pub(crate) struct NoAnswer;

pub(crate) type Answer = Result<Response<AnswerBody>, NoAnswer>;

/// A batch of requests on keys.
pub(crate) async fn batch(node: &Arc<Node>, body: Incoming) -> Answer {
    let arrived = Instant::now();
    match take_batch(node, body).await {
        Ok(taken) => {
            let (view, requests, received) = taken;
            node.metrics.observe_requests(&requests);
            let epoch = view.target().epoch;
            let refuse =
                |request: &Request| (!view.holds(request.partition)).then_some(Rejection::NotMine(epoch));
            let submitted = node.pipeline.submit(requests, refuse);
            let (replies, mut held) = submitted.replies().await.map_err(|_| NoAnswer)?;
            held.join(received);
            node.metrics.observe_replies(&replies, arrived.elapsed());
            let bytes = encode(view, replies).await?;
            Ok(wire_answer(bytes, held))
        }
        Err(refused) => Ok(refusal(node, &refused)),
    }
}

async fn take_batch(node: &Arc<Node>, body: Incoming) -> Result<(&View, Vec<Request>, Held), Refused> {
    let limits = &node.limits;
    let (bytes, held) =
        receive(body, limits.body_bytes_max, &node.budget, limits.receive_timeout, &node.stop).await?;
    let large = bytes.len() >= OFFLOAD_BYTES_MIN;
    let decoded = offload(large, move || decode_requests(bytes)).await.map_err(|NoAnswer| stopping())?;
    let (target, requests) = decoded.map_err(|error| Refused::Malformed { detail: error.to_string() })?;
    let view = node.admit(&target)?;
    for request in &requests {
        view.check(request)?;
    }
    Ok((view, requests, held))
}

async fn encode(view: &View, replies: Vec<Reply>) -> Result<Bytes, NoAnswer> {
    let large = replies.iter().map(reply_size_hint).sum::<usize>() >= OFFLOAD_BYTES_MIN;
    let target = view.target().clone();
    offload(large, move || encode_replies(&target, unix_ms(), &replies)).await
}

/// A page of registers, from a snapshot.
pub(crate) async fn scan(node: &Arc<Node>, body: Incoming) -> Answer {
    let arrived = Instant::now();
    match take_scan(node, body).await {
        Ok(taken) => {
            let (Scanned { page, rows }, held) = taken;
            node.metrics.observe_scan(page.entries.len(), rows, arrived.elapsed());
            let sender = node.sender();
            let bytes = offload(true, move || encode_page(&sender, unix_ms(), &page)).await?;
            Ok(wire_answer(bytes, held))
        }
        Err(ScanError::Refused(refused)) => Ok(refusal(node, &refused)),
        Err(ScanError::NoAnswer) => Err(NoAnswer),
    }
}

enum ScanError {
    Refused(Refused),
    NoAnswer,
}

impl From<Refused> for ScanError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

async fn take_scan(node: &Arc<Node>, body: Incoming) -> Result<(Scanned, Held), ScanError> {
    let limits = &node.limits;
    let (bytes, _) =
        receive(body, limits.body_bytes_max, &node.budget, limits.receive_timeout, &node.stop).await?;
    let decoded = decode_scan(bytes).map_err(|error| Refused::Malformed { detail: error.to_string() });
    let (target, mut request) = decoded?;
    node.admit(&target)?.check_scan(&request)?;
    request.limit = request.limit.clamp(1, PAGE_ENTRIES_MAX);
    request.bytes_max = request.bytes_max.clamp(1, PAGE_BYTES_MAX);
    // In order of their coming, for as long as the asker waits; as many as there are connections may wait.
    let _turn = node.scans.acquire().await.map_err(|_| Refused::Overloaded)?;
    let held = node.budget.take(request.bytes_max as usize).ok_or(Refused::Overloaded)?;
    let scanner = Arc::clone(node);
    let scanned = offload(true, move || scanner.store.scan(&request)).await;
    match scanned {
        Ok(Ok(scanned)) => Ok((scanned, held)),
        Ok(Err(error)) => {
            node.metrics.observe_read_error(&error);
            Err(ScanError::NoAnswer)
        }
        Err(NoAnswer) => Err(ScanError::NoAnswer),
    }
}

/// Who this node is.
pub(crate) fn hello(node: &Node) -> Response<AnswerBody> {
    let obstacle = node.obstacle().map(|obstacle| obstacle.reason().to_owned());
    let hello = Hello { shortage: node.disk.shortage(), ..node.membership.hello(obstacle) };
    wire_answer(encode_hello(&hello), Held::none())
}

/// Whether the node votes, and if not, why; and how its disk is. A disk below its reserve does not make it unready: it
/// answers reads, deletes, and whatever does not grow.
pub(crate) fn ready(node: &Node) -> Response<AnswerBody> {
    let obstacle = node.obstacle();
    let shortage = node.disk.shortage();
    let sender = node.sender();
    let adopted = node.membership.view().is_some();
    let text = json!({
        "ready": obstacle.is_none(),
        "reason": obstacle.as_ref().map_or("", |obstacle| obstacle.reason()),
        "disk": {
            "refuses_growth": shortage.is_some(),
            "detail": shortage.map_or_else(String::new, |shortage| shortage.to_string()),
            "free_bytes": node.disk.free_bytes(),
            "reserve_bytes": node.disk.free_bytes_min(),
            "directory": node.disk.directory().display().to_string(),
        },
        "node": sender.node.to_string(),
        "storage_id": sender.storage.to_string(),
        "cluster_id": adopted.then(|| sender.cluster.to_string()),
        "epoch": adopted.then_some(sender.epoch.0),
    });
    let status = if obstacle.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    plain(status, "application/json", format!("{text}\n").into())
}

/// The process answers, so it is alive.
pub(crate) fn live() -> Response<AnswerBody> {
    plain(StatusCode::OK, PLAIN_TEXT, Bytes::from_static(b"alive\n"))
}

/// The metrics. Reading them asks RocksDB, which may wait for its locks.
pub(crate) async fn metrics(node: &Arc<Node>) -> Answer {
    let shared = Arc::clone(node);
    match offload(true, move || shared.metrics_page()).await? {
        Ok(text) => Ok(plain(StatusCode::OK, METRICS_CONTENT_TYPE, text.into())),
        Err(_) => {
            let text = Bytes::from_static(b"the metrics could not be written\n");
            Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, PLAIN_TEXT, text))
        }
    }
}

/// There is no such path.
pub(crate) fn unknown() -> Response<AnswerBody> {
    let text = "this is a storage node: clients talk to a router. Paths here: /livez, /readyz, /metrics\n";
    plain(StatusCode::NOT_FOUND, PLAIN_TEXT, text.into())
}

/// The path takes another method.
pub(crate) fn wrong_method(allowed: &'static str) -> Response<AnswerBody> {
    let text = format!("this path takes {allowed}\n");
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TEXT, text.into());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// What arrived in place of a request.
pub(crate) fn bare(what: BareRequest) -> Response<Bytes> {
    let (status, text) = match what {
        BareRequest::Malformed(why) => {
            (StatusCode::BAD_REQUEST, format!("this is not an HTTP/1.1 request: {why}"))
        }
        BareRequest::UriTooLong => (StatusCode::URI_TOO_LONG, "the address is too long".to_owned()),
        BareRequest::HeadTooLong => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "request line and headers are too long".to_owned())
        }
        BareRequest::TooManyHeaders => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "there are too many headers".to_owned())
        }
        BareRequest::TooSlow => {
            (StatusCode::REQUEST_TIMEOUT, "the headers did not arrive in time".to_owned())
        }
        BareRequest::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "the node is stopping".to_owned()),
    };
    let mut response = Response::new(Bytes::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN_TEXT));
    response
}

fn refusal(node: &Node, refused: &Refused) -> Response<AnswerBody> {
    tracing::debug!(%refused, "body refused");
    node.metrics.observe_refusal(refused);
    wire_answer(encode_refusal(&node.sender(), unix_ms(), refused), Held::none())
}

fn stopping() -> Refused {
    Refused::NotReady { reason: "the node is stopping".to_owned() }
}

fn wire_answer(bytes: Bytes, held: Held) -> Response<AnswerBody> {
    with_type(StatusCode::OK, wire::CONTENT_TYPE, AnswerBody::new(bytes, held))
}

fn plain(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<AnswerBody> {
    let mut response = with_type(status, content_type, AnswerBody::new(bytes, Held::none()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_type(status: StatusCode, content_type: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Runs `work` off the async threads if it is `heavy`.
async fn offload<T: Send + 'static>(
    heavy: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    if heavy { tokio::task::spawn_blocking(work).await.map_err(|_| NoAnswer) } else { Ok(work()) }
}
