//! The harness of the end-to-end tests: real processes on free ports, faults by signal, HTTP as clients speak it.
//!
//! The tests run the programs that `cargo build --release` left beside them; `make test` and `make e2e` build
//! them first. A failing test prints the last lines of every process's log.
//!
//! - [`Cluster`]: nodes and routers as child processes with a `cluster.toml` and data folders of their own.
//! - [`Process`]: one of them; killed, frozen, thawed, started again.
//! - [`Http`]: a plain client for well-formed requests; [`Raw`]: bytes on a socket for all others.
//! - [`Scene`]: a cluster that bad input must leave as it was.
//! - [`copy_database`]: what a crash leaves of a database.
//! - [`Disk`]: a small disk that really fills up.
//! - [`LosingProxy`]: a proxy that loses the answers to writes.
//! - [`Machine`]: a machine with systemd on which services are installed.
//! - [`faketime`]: wrong clocks.
//! - [`idempotency_key`]: names of operations.
//! - [`Gauntlet`]: clients, faults of every kind, and the judge of what the clients saw.
//! - [`eventually`]: the only place that waits by time.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a harness that cannot go on fails its test"
)]

mod cluster;
mod command;
mod crash_image;
mod disk;
pub mod faketime;
mod gauntlet;
mod http;
mod losing_proxy;
mod machine;
mod namespace;
mod operation;
mod ports;
mod process;
mod raw;
mod scene;
mod wait;

pub use cluster::{Cluster, Layout};
pub use command::{Finished, checkout, program, run, run_with_input};
pub use crash_image::copy_database;
pub use disk::Disk;
pub use gauntlet::{Gauntlet, Report};
pub use http::{Answer, Call, Http, encode_key};
pub use losing_proxy::LosingProxy;
pub use machine::Machine;
pub use operation::{idempotency_key, idempotency_key_made, now_ms};
pub use ports::{Port, free_port, free_ports};
pub use process::{Process, is_alive};
pub use raw::Raw;
pub use scene::Scene;
pub use wait::{PATIENCE, eventually};
