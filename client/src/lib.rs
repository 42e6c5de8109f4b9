//! The Roundtable client: keys and values through any of several routers, over HTTP/1.1.
//!
//! A [`Client`] knows one or more router addresses and any of them can serve every key. An attempt that fails in a
//! way that another attempt may mend is repeated, through the next router first, until the call's deadline. Every
//! write carries an idempotency key, the same in all its attempts, so a repeat never applies a change twice.
//!
//! What a failed call left behind is said by [`Error::outcome`]: [`Outcome::NotApplied`] or [`Outcome::Unknown`].
//! Once one attempt of a write is in doubt, the call stays in doubt until an attempt brings a definite answer, even
//! if the last thing heard is a router that says of *its* attempt that it was never applied.
//!
//! A guide with an example is in `docs/client-library.md`.

mod answer;
mod builder;
mod call;
mod client;
mod cluster;
mod engine;
mod error;
mod etag;
mod idempotency;
mod item;
mod lines;
mod listing;
mod path;
mod problem;
mod range_delete;
mod retry;
mod routers;
mod scanner;
#[cfg(test)]
mod test_router;
mod transport;
mod write;

pub use answer::{Consistency, Counter, Entry, Written};
pub use builder::{BuildError, ClientBuilder};
pub use client::Client;
pub use cluster::{ClusterView, DiskShortage, KeyPlace, NodeView, PartitionView, Readiness, ReplicaView};
pub use error::{Cause, Error, Outcome, RequestError};
pub use etag::{ETag, ParseETagError};
pub use idempotency::{IdempotencyKey, ParseIdempotencyKeyError};
pub use item::{Item, ItemError};
pub use listing::{Listing, Page};
pub use problem::Problem;
pub use range_delete::RangeDelete;
pub use scanner::Scanner;
pub use write::{Condition, Delete, Increment, Put, Touch, Ttl};

/// The guide's examples are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client-library.md")]
struct Guide;
