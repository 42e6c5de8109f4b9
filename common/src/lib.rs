//! Keys, ring, wire bodies, configuration and telemetry shared by Roundtable's binaries.

pub mod cluster_file;
pub mod command_line;
mod document;
pub mod files;
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
