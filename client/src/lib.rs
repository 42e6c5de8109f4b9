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
//! ```no_run
//! use std::time::Duration;
//! use roundtable_client::{Client, Condition, Error, Put};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder()
//!     .router("http://127.0.0.1:7400")
//!     .router("http://127.0.0.1:7401")
//!     .deadline(Duration::from_secs(5))
//!     .build()?;
//!
//! client.put("greeting", "hello").await?;
//! if let Some(entry) = client.get("greeting").await? {
//!     // Replaces the value only if nobody changed it since it was read.
//!     let change = Put::new("hello, world").condition(Condition::Matches(entry.etag));
//!     match client.put("greeting", change).await {
//!         Ok(written) => println!("the new version is {}", written.etag),
//!         Err(Error::PreconditionFailed { current }) => println!("somebody was faster: {current:?}"),
//!         Err(other) => return Err(other.into()),
//!     }
//! }
//! let visits = client.increment("visits", 1).await?;
//! println!("visit number {}", visits.value);
//! # Ok(())
//! # }
//! ```

mod builder;
mod call;
mod client;
mod cluster;
mod engine;
mod error;
mod etag;
mod idempotency;
mod item;
mod listing;
mod path;
mod problem;
mod retry;
mod routers;
mod scanner;
#[cfg(test)]
mod test_router;
mod transport;
mod write;

pub use builder::{BuildError, ClientBuilder};
pub use client::{Client, Consistency, Counter, Entry, Written};
pub use cluster::{ClusterView, KeyPlace, NodeView, PartitionView, Readiness, ReplicaView};
pub use error::{Cause, Error, Outcome, RequestError};
pub use etag::{ETag, ParseETagError};
pub use idempotency::{IdempotencyKey, ParseIdempotencyKeyError};
pub use item::{Item, ItemError};
pub use listing::{Listing, Page};
pub use problem::Problem;
pub use scanner::Scanner;
pub use write::{Condition, Delete, Increment, Put, Touch, Ttl};
