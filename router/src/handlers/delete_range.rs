//! Deletes the keys of a range, and tells on the way how far it is.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderValue};
use roundtable_consensus::PageEnd;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use crate::app::App;
use crate::handlers::list::PER_KEY;
use crate::handlers::{Reply, deadline_us};
use crate::http::reply::CONSISTENCY;
use crate::http::{Code, LineSink, Problem, line_stream};
use crate::listing::{Cursor, ListRequest, Removal, Removed};
use crate::topology::Cluster;

/// One line of the answer.
#[derive(Serialize)]
struct Progress<'a> {
    /// Keys deleted so far.
    deleted: u64,
    /// Where the same request goes on; `None` at the end.
    next: Option<String>,
    /// Why the deletion stops here.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Deletes what a listing would show. The answer begins when the first keys are found, and before any is deleted; the
/// next keys are deleted no faster than the client takes the lines.
///
/// # Errors
/// When not even the first keys can be found: nothing was deleted.
pub(super) async fn delete_range(
    app: &Arc<App>,
    cluster: Arc<Cluster>,
    request: ListRequest,
    admission: Option<OwnedSemaphorePermit>,
) -> Result<Reply, Problem> {
    let timeout_ms = request.timeout_ms;
    let removal = Removal::begin(cluster, request, deadline_us(app, timeout_ms)).await?;
    let (sink, body) = line_stream();
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let _admission = admission;
        run(&app, removal, timeout_ms, sink).await;
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CONSISTENCY, PER_KEY);
    Ok(Reply::Stream(response))
}

async fn run(app: &App, mut removal: Removal, timeout_ms: Option<u64>, sink: LineSink) {
    let mut total = 0;
    let mut next = None;
    loop {
        let Removed { deleted, end, problem } = removal.step(deadline_us(app, timeout_ms)).await;
        total += deleted;
        let is_done = end == Some(PageEnd::Exhausted);
        match end {
            Some(PageEnd::Through(last)) => next = Some(Cursor { last, reverse: false }.to_text()),
            Some(PageEnd::Exhausted) => next = None,
            // Not all up to the step's end: what was reached before still holds.
            None => {}
        }
        let progress = Progress {
            deleted: total,
            next: next.clone(),
            code: problem.as_ref().map(Problem::code).map(Code::as_str),
            detail: problem.as_ref().map(Problem::detail),
        };
        if !sink.send(line(&progress)).await || is_done {
            return;
        }
        if let Some(problem) = problem {
            debug!(detail = problem.detail(), "deletion is cut short");
            sink.cut_short().await;
            return;
        }
    }
}

fn line(progress: &Progress<'_>) -> Bytes {
    let mut text = serde_json::to_vec(progress).unwrap_or_default();
    text.push(b'\n');
    text.into()
}
