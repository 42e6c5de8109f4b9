//! Answers to what is no request that a handler could see: malformed, too long, or cut off by the end of the router.

use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Response};
use roundtable_common::serve::BareRequest;

use crate::app::App;
use crate::http::endpoint::EndpointName;
use crate::http::problem::{Code, Problem};
use crate::http::reply::complete;
use crate::http::request_id::request_id;
use crate::http::service::{HEADERS_MAX, URI_BYTES_MAX};

/// Answers something that arrived in place of a request; `buffer_bytes_max` is the most that a head may have.
pub(super) fn refuse(app: &App, what: BareRequest, buffer_bytes_max: usize) -> Response<Bytes> {
    answer(app, &problem(app, what, buffer_bytes_max))
}

/// The whole answer, counted like that of a request.
pub(super) fn answer(app: &App, problem: &Problem) -> Response<Bytes> {
    let request_id = request_id(&HeaderMap::new());
    let mut response = problem.to_response(&request_id);
    complete(response.headers_mut(), &request_id, None);
    app.metrics().observe_request(EndpointName::Other, response.status().as_u16(), Duration::ZERO);
    response
}

fn problem(app: &App, what: BareRequest, buffer_bytes_max: usize) -> Problem {
    match what {
        BareRequest::Malformed(why) => {
            Problem::new(Code::BadRequest, format!("this is not an HTTP/1.1 request: {why}"))
        }
        BareRequest::UriTooLong => {
            let detail = format!("the address is too long; at most {URI_BYTES_MAX} bytes are accepted");
            Problem::new(Code::UriTooLong, detail).with_limit(URI_BYTES_MAX as u64)
        }
        BareRequest::HeadTooLong => {
            let detail = format!(
                "request line and headers are too long; at most {buffer_bytes_max} bytes are accepted together"
            );
            Problem::new(Code::HeadersTooLarge, detail).with_limit(buffer_bytes_max as u64)
        }
        BareRequest::TooManyHeaders => {
            let detail = format!("there are too many headers; at most {HEADERS_MAX} are accepted");
            Problem::new(Code::HeadersTooLarge, detail).with_limit(HEADERS_MAX as u64)
        }
        BareRequest::TooSlow => {
            let limit = app.limits().idle_timeout;
            let detail = format!("the headers did not arrive within {limit:?}; nothing was done");
            Problem::new(Code::RequestTimeout, detail)
        }
        BareRequest::Stopping => {
            Problem::new(Code::ShuttingDown, "the router is stopping, and the headers did not arrive in time")
        }
    }
}
