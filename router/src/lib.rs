//! The stateless HTTP router of Roundtable.
//!
//! A request is parsed into an [`http::Endpoint`], then handled. An operation on a key goes to the key's coordinator
//! (the pure core conducts rounds and reads), whose messages leave through the [`links`] in batches; a node's reply is
//! handed to the coordinator by the task that received it. A router keeps nothing on disk: which cluster it serves it
//! learns from the nodes ([`topology`]).

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod flags;
pub mod handlers;
pub mod http;
pub mod links;
pub mod listing;
pub mod metrics;
pub mod topology;
