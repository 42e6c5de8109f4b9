//! The storage node of Roundtable: RocksDB, replication log and replica server.
//!
//! ```text
//! server ── handlers ── pipeline ──┬─ shard (Replica) ─┬─ committer ── store (RocksDB)
//!              │                   └─ shard (Replica) ─┘
//!              ├─ scan ──────────────────────────────────────────────── store
//!              └─ membership (Bootstrap) ── peers
//! ```
//!
//! A batch of requests comes over HTTP, is checked against the adopted configuration and split by key over the
//! shards. Each shard's [`roundtable_consensus::Replica`] decides on the thread that brought the batch; what was
//! decided is committed by one thread, with one sync for all that waited; then the replies leave. The node takes part only once a configuration
//! is adopted and its clock has passed the promises of its last run.

mod body;
pub mod budget;
pub mod cli;
pub mod clock;
mod commit_queue;
mod committer;
pub mod config;
pub mod disk_watch;
mod endpoint;
pub mod fault;
pub mod flags;
mod handlers;
mod lane;
mod marks;
pub mod membership;
mod metric_labels;
pub mod metrics;
mod node;
pub mod peers;
pub mod pipeline;
mod reclaimer;
pub mod run;
mod server;
mod shard;
pub mod store;
pub mod voting;

pub use committer::Durability;
