//! The command line.

use std::path::PathBuf;

use clap::Parser;
use roundtable_common::stop::StopArgs;
use roundtable_common::telemetry::LogArgs;
use roundtable_consensus::NodeId;

use crate::flags::Flags;

/// Storage node of Roundtable: keeps registers in RocksDB and votes on them.
///
/// Settings come from --config, environment variables and flags; a flag goes over the variable, the variable over
/// the file. Stops on SIGTERM or SIGINT: lets requests under way end, writes its memory to disk, exits with 0.
#[derive(Debug, Parser)]
#[command(name = "roundtable-node", version = roundtable_common::VERSION, max_term_width = 110)]
pub struct Cli {
    /// The cluster's nodes, the same file for all
    #[arg(long, env = "ROUNDTABLE_NODE_CLUSTER", value_name = "FILE")]
    pub cluster: PathBuf,
    /// Which of the nodes this is
    #[arg(long, env = "ROUNDTABLE_NODE_ID", value_name = "ID")]
    pub id: NodeId,
    /// Directory of the node's data; made if it does not exist
    #[arg(long, env = "ROUNDTABLE_NODE_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Settings file
    #[arg(long, env = "ROUNDTABLE_NODE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen where other machines can reach the node, although requests are not authenticated yet
    #[arg(long, env = "ROUNDTABLE_NODE_INSECURE_LISTEN")]
    pub insecure_listen: bool,
    /// Check cluster file and settings, say what is wrong, and exit
    #[arg(long)]
    pub check: bool,
    /// Stopping.
    #[command(flatten)]
    pub stop: StopArgs,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// Settings.
    #[command(flatten, next_help_heading = "Settings (also in --config)")]
    pub flags: Flags,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn command_line_tells_a_bad_node_id() {
        let line = ["roundtable-node", "--cluster", "c", "--data-dir", "d", "--id", "N 1"];
        let told = Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(told.contains("N 1") && told.contains("a-z"), "{told}");
    }
}
