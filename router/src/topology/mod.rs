//! Which cluster this router serves: found out from its nodes, never just read from the file.

mod choose;
mod cluster;
mod seek;

pub use choose::{NotChosen, choose};
pub use cluster::{Cluster, ClusterSeed};
pub use seek::{Phase, Seeker};
