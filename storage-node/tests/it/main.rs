//! The storage node from outside: its store on a real disk, its threads, its HTTP server, its process.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set up its case has nothing to say but where it failed"
)]

mod crash;
mod founding;
mod pipeline;
mod process;
mod server;
mod store;
mod support;
mod wal;
