//! What each endpoint does.

mod cluster;
mod delete_range;
mod keys;
mod list;
mod probes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderValue};
use roundtable_common::telemetry::METRICS_CONTENT_TYPE;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::http::{Code, Endpoint, LineStream, Problem};
pub use keys::write;

/// A successful answer.
pub enum Reply {
    /// All of it.
    Whole(Response<Bytes>),
    /// Its headers, and a body that is made while it is sent.
    Stream(Response<LineStream>),
}

/// Does what an endpoint without a body asks for. `admission` is the request's place among those in progress; a stream
/// keeps it until its end.
///
/// # Errors
/// The problem to answer with.
pub async fn handle(
    app: &Arc<App>,
    endpoint: Endpoint,
    is_head: bool,
    admission: Option<OwnedSemaphorePermit>,
) -> Result<Reply, Problem> {
    match endpoint {
        Endpoint::Get(get) => keys::get(app, &*app.cluster()?, get).await,
        Endpoint::Write(change) => write(app, &*app.cluster()?, change, Bytes::new()).await,
        Endpoint::List(request) => list::list(app, app.cluster()?, request, is_head, admission).await,
        Endpoint::Count(request) => list::count(app, app.cluster()?, request).await,
        Endpoint::DeleteRange(request) => {
            delete_range::delete_range(app, app.cluster()?, request, admission).await
        }
        Endpoint::Livez => Ok(probes::livez()),
        Endpoint::Readyz => Ok(probes::readyz(app)),
        Endpoint::Cluster => cluster::cluster(&*app.cluster()?),
        Endpoint::Where(key) => cluster::where_is(app, &*app.cluster()?, key).await,
        Endpoint::Metrics => metrics(app),
    }
}

fn metrics(app: &App) -> Result<Reply, Problem> {
    let text =
        app.metrics_text().map_err(|_| Problem::new(Code::Overloaded, "the metrics cannot be written"))?;
    let mut response = Response::new(Bytes::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(METRICS_CONTENT_TYPE));
    Ok(Reply::Whole(response))
}

/// When a request's time is over, on the monotonic clock.
fn deadline_us(app: &App, timeout_ms: Option<u64>) -> u64 {
    let allowed = timeout_ms.map_or(app.limits().request_timeout, Duration::from_millis);
    let allowed_us = u64::try_from(allowed.as_micros()).unwrap_or(u64::MAX);
    app.clock().mono_us().saturating_add(allowed_us)
}
