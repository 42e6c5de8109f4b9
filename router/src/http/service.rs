//! One request, from its headers to its answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use prometheus_client::metrics::gauge::Gauge;
use tracing::debug;

use crate::app::App;
use crate::handlers::{self, Reply};
use crate::http::body::{read_value, refuse_body};
use crate::http::endpoint::{Action, Endpoint, EndpointName};
use crate::http::problem::{Code, Problem};
use crate::http::reply::complete;
use crate::http::request_id::request_id;
use crate::http::route::Route;
use crate::http::stream::LineStream;

/// The longest path and query in bytes: a key of 4096 bytes, all of them escaped, and its parameters.
pub(super) const URI_BYTES_MAX: usize = 20 << 10;
/// Headers of a request at most, and their bytes. More than a hundred never get here: hyper reads no more, and room
/// for more would be made anew for each request.
pub(super) const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 32 << 10;

/// The body of an answer.
pub(super) type AnswerBody = Either<Full<Bytes>, LineStream>;

/// Answers a request. Every answer names it, errors included.
pub async fn serve(app: Arc<App>, request: Request<Incoming>) -> Response<AnswerBody> {
    let started = Instant::now();
    let in_progress = InProgress::new(app.metrics().requests_in_progress.clone());
    let (parts, body) = request.into_parts();
    let request_id = request_id(&parts.headers);
    let mut name = EndpointName::Other;
    let result = answer(&app, &parts, body, &mut name).await;
    let is_head = parts.method == Method::HEAD;
    let (code, mut response) = match result {
        Ok(Reply::Whole(response)) => (None, whole(response, is_head)),
        Ok(Reply::Stream(response)) => (None, response.map(Either::Right)),
        Err(problem) => (Some(problem.code()), whole(problem.to_response(&request_id), is_head)),
    };
    complete(response.headers_mut(), &request_id, code.is_none().then_some(name));
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics().observe_request(name, status, took);
    let code = code.map(Code::as_str);
    let endpoint = name.as_str();
    debug!(request_id, endpoint, status, code, elapsed_us = took.as_micros(), "request answered");
    drop(in_progress);
    response
}

async fn answer(
    app: &Arc<App>,
    parts: &Parts,
    body: Incoming,
    name: &mut EndpointName,
) -> Result<Reply, Problem> {
    check_sizes(parts)?;
    let route = Route::of(parts.uri.path());
    let admission = if route.is_for_operators() { None } else { Some(app.admit()?) };
    let endpoint = Endpoint::parse(&route, parts)?;
    *name = endpoint.name();
    match endpoint {
        Endpoint::Write(write) if matches!(write.action, Action::Put { .. }) => {
            // A router without a cluster refuses before the value is sent.
            let cluster = app.cluster()?;
            let value = read_value(app, &parts.headers, body).await?;
            handlers::write(app, &cluster, write, value.bytes).await
        }
        endpoint => {
            refuse_body(app, body).await?;
            handlers::handle(app, endpoint, parts.method == Method::HEAD, admission).await
        }
    }
}

fn check_sizes(parts: &Parts) -> Result<(), Problem> {
    let uri_bytes = parts.uri.path_and_query().map_or(0, |address| address.as_str().len());
    if uri_bytes > URI_BYTES_MAX {
        let detail = format!("the address has {uri_bytes} bytes; at most {URI_BYTES_MAX} are accepted");
        return Err(Problem::new(Code::UriTooLong, detail).with_limit(URI_BYTES_MAX as u64));
    }
    let header_bytes: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len()).sum();
    if parts.headers.len() > HEADERS_MAX {
        let detail = format!("there are {} headers; at most {HEADERS_MAX} are accepted", parts.headers.len());
        return Err(Problem::new(Code::HeadersTooLarge, detail).with_limit(HEADERS_MAX as u64));
    }
    if header_bytes > HEADER_BYTES_MAX {
        let detail =
            format!("the headers have {header_bytes} bytes; at most {HEADER_BYTES_MAX} are accepted");
        return Err(Problem::new(Code::HeadersTooLarge, detail).with_limit(HEADER_BYTES_MAX as u64));
    }
    Ok(())
}

/// The answer to HEAD has the headers of the answer to GET and no body.
fn whole(mut response: Response<Bytes>, is_head: bool) -> Response<AnswerBody> {
    if is_head && response.status() != hyper::StatusCode::NOT_MODIFIED {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
        *response.body_mut() = Bytes::new();
    }
    response.map(|body| Either::Left(Full::new(body)))
}

/// Counts a request as in progress until it is dropped, also when its client leaves.
struct InProgress(Gauge);

impl InProgress {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}
