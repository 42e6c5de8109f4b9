//! Keys, ring, wire bodies, configuration and telemetry shared by Roundtable's binaries.

pub mod cluster_file;
mod document;
pub mod limits;
pub mod listen;
pub mod placement;
pub mod problems;
pub mod scan;
pub mod serve;
pub mod settings;
pub mod stop;
pub mod telemetry;
pub mod units;
pub mod view;
pub mod wire;

/// The version of this build, as `--version` tells it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
