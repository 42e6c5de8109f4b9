//! The HTTP side: a request is parsed into an [`Endpoint`], handled, and answered; errors are made in one place.

mod bare;
mod body;
mod conditions;
pub(crate) mod duration;
mod endpoint;
mod fingerprint;
mod idempotency;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod reply;
mod request_id;
mod route;
mod server;
mod service;
mod stream;

pub use body::{read_value, refuse_body};
pub use conditions::{EntityTag, TagList};
pub use endpoint::{Action, Endpoint, EndpointName, Get, Write};
pub use fingerprint::fingerprint;
pub use idempotency::IdempotencyKey;
pub use problem::{Code, KnownOutcome, Problem};
pub use route::{RawKey, Route};
pub use server::Server;
pub use service::serve;
pub use stream::{LineSink, LineStream, line_stream};
