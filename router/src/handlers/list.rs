//! Listings: a page of JSON, or the whole range as a stream of lines.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use roundtable_consensus::{Key, PageEnd};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use crate::app::App;
use crate::handlers::{Reply, deadline_us};
use crate::http::reply::{CONSISTENCY, json_reply};
use crate::http::{Problem, line_stream};
use crate::listing::{self, Cursor, Found, Item, ListRequest, Page, Scanner};
use crate::topology::Cluster;

/// A page of JSON ends early at about this many bytes.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Keys of a stream that are looked up at once.
const STREAM_PAGE_ITEMS: usize = 1_000;
/// Memory that a page takes for each byte of its items: values arrive from up to as many nodes, become text, and then
/// JSON.
const MEMORY_FACTOR: usize = 4;
/// About what an item without its value takes.
const ITEM_BYTES: usize = 512;

/// Each key is current by itself; the whole is not a snapshot.
pub(super) const PER_KEY: HeaderValue = HeaderValue::from_static("per-key");

#[derive(Serialize)]
struct PageView {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Serialize)]
struct CountView {
    count: u64,
}

/// Lists keys.
///
/// # Errors
/// When not even the first keys can be told.
pub(super) async fn list(
    app: &Arc<App>,
    cluster: Arc<Cluster>,
    request: ListRequest,
    is_head: bool,
    admission: Option<OwnedSemaphorePermit>,
) -> Result<Reply, Problem> {
    if request.stream {
        stream(app, cluster, request, is_head, admission).await
    } else {
        page(app, cluster, request).await
    }
}

async fn page(app: &App, cluster: Arc<Cluster>, request: ListRequest) -> Result<Reply, Problem> {
    let deadline_us = deadline_us(app, request.timeout_ms);
    let (limit, reverse) = (request.limit.unwrap_or(usize::MAX), request.reverse);
    let _memory = app.reserve_listing(memory(app, &request, limit), deadline_us).await?;
    let mut scanner = Scanner::new(cluster, request);
    let (mut items, mut weight) = (Vec::new(), 0);
    let mut end: Option<PageEnd> = None;
    while items.len() < limit && weight < PAGE_BYTES_MAX && end != Some(PageEnd::Exhausted) {
        match scanner.next_page(limit - items.len(), deadline_us).await {
            Ok(Page { items: more, end: reached }) => {
                weight += more.iter().map(|found| found.item.weight()).sum::<usize>();
                items.extend(more.into_iter().map(|found| found.item));
                end = Some(reached);
            }
            // What is known already is told; the cursor goes on from there.
            Err(problem) if end.is_some() => {
                debug!(detail = problem.detail(), "listing ends early");
                break;
            }
            Err(problem) => return Err(problem),
        }
    }
    let cursor = |last: Key| Cursor { last, reverse }.to_text();
    let next = match end {
        Some(PageEnd::Through(last)) => Some(cursor(last)),
        Some(PageEnd::Exhausted) | None => None,
    };
    let mut response = json_reply(StatusCode::OK, &PageView { items, next });
    response.headers_mut().insert(CONSISTENCY, PER_KEY);
    Ok(Reply::Whole(response))
}

async fn stream(
    app: &Arc<App>,
    cluster: Arc<Cluster>,
    request: ListRequest,
    is_head: bool,
    admission: Option<OwnedSemaphorePermit>,
) -> Result<Reply, Problem> {
    let (timeout_ms, limit) = (request.timeout_ms, request.limit.unwrap_or(usize::MAX));
    let items_max = |left: usize| left.min(STREAM_PAGE_ITEMS);
    let bytes = memory(app, &request, items_max(limit));
    let mut scanner = Scanner::new(cluster, request);
    // The first page decides the status; what goes wrong later can only cut the stream short.
    let mut page = stream_page(app, &mut scanner, items_max(limit), bytes, timeout_ms).await?;
    let headers = |response: &mut hyper::HeaderMap| {
        response.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        response.insert(CONSISTENCY, PER_KEY);
    };
    if is_head {
        let mut response = Response::new(Bytes::new());
        headers(response.headers_mut());
        return Ok(Reply::Whole(response));
    }
    let (sink, body) = line_stream();
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let _admission = admission;
        let mut left = limit;
        loop {
            left -= page.items.len().min(left);
            if !page.items.is_empty() && !sink.send(lines(&page.items)).await {
                return;
            }
            if page.end == PageEnd::Exhausted || left == 0 {
                return;
            }
            page = match stream_page(&app, &mut scanner, items_max(left), bytes, timeout_ms).await {
                Ok(page) => page,
                Err(problem) => {
                    debug!(detail = problem.detail(), "stream is cut short");
                    sink.cut_short().await;
                    return;
                }
            };
        }
    });
    let mut response = Response::new(body);
    headers(response.headers_mut());
    Ok(Reply::Stream(response))
}

async fn stream_page(
    app: &App,
    scanner: &mut Scanner,
    items_max: usize,
    bytes: usize,
    timeout_ms: Option<u64>,
) -> Result<Page, Problem> {
    let deadline_us = deadline_us(app, timeout_ms);
    // Only while the page is put together: a client that reads slowly keeps its page, but not the others' turn.
    let _memory = app.reserve_listing(bytes, deadline_us).await?;
    scanner.next_page(items_max, deadline_us).await
}

/// Memory that a page of so many items may take while it is put together.
fn memory(app: &App, request: &ListRequest, items: usize) -> usize {
    let value_bytes = if request.values { app.limits().value_bytes_max } else { 0 };
    items.saturating_mul(ITEM_BYTES + value_bytes).min(PAGE_BYTES_MAX).saturating_mul(MEMORY_FACTOR)
}

/// Counts keys.
///
/// # Errors
/// When the whole range can't be counted in time.
pub(super) async fn count(app: &App, cluster: Arc<Cluster>, request: ListRequest) -> Result<Reply, Problem> {
    let deadline_us = deadline_us(app, request.timeout_ms);
    let count = listing::count(&cluster, &request, deadline_us).await?;
    let mut response = json_reply(StatusCode::OK, &CountView { count });
    response.headers_mut().insert(CONSISTENCY, PER_KEY);
    Ok(Reply::Whole(response))
}

/// One item a line.
fn lines(items: &[Found]) -> Bytes {
    let mut text = BytesMut::with_capacity(items.iter().map(|found| found.item.weight()).sum());
    for Found { item, .. } in items {
        if let Ok(json) = serde_json::to_vec(item) {
            text.extend_from_slice(&json);
            text.put_u8(b'\n');
        }
    }
    text.freeze()
}
