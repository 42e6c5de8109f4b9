//! The connections to the nodes: batches in two lanes, probes, and single questions.

mod client;
mod connection;
mod link;
mod monitor;
mod worker;

pub use client::NodeClient;
pub use connection::{Connection, LinkError};
pub use link::{Link, LinkItem, NodeStatus, QueueFull};
pub use monitor::{verdict, watch};
pub use worker::run_lane;
