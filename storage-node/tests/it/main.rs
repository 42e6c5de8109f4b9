//! The storage node from outside: its store on a real disk, its threads, its HTTP server, its process.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its case fails, and says where")]

mod crash;
mod damage;
mod founding;
mod journal;
mod pipeline;
mod process;
mod reclaim;
mod server;
mod store;
mod support;
