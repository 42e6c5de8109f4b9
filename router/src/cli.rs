//! The command line.

use std::path::PathBuf;

use clap::Parser;
use roundtable_common::stop::StopArgs;
use roundtable_common::telemetry::LogArgs;

use crate::flags::Flags;

/// The stateless HTTP router of Roundtable: every router can serve every key.
///
/// Settings come from --config, environment variables and flags; a flag goes over the variable, the variable over
/// the file. Stops on SIGTERM or SIGINT: /readyz says so, connections are refused, requests in progress end.
#[derive(Debug, Parser)]
#[command(name = "roundtable-router", version = roundtable_common::VERSION, max_term_width = 110)]
pub struct Cli {
    /// The cluster's nodes, the same file for all
    #[arg(long, env = "ROUNDTABLE_ROUTER_CLUSTER", value_name = "FILE")]
    pub cluster: PathBuf,
    /// Settings file
    #[arg(long, env = "ROUNDTABLE_ROUTER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen where other machines can reach the router, although requests are not authenticated yet
    #[arg(long, env = "ROUNDTABLE_ROUTER_INSECURE_LISTEN")]
    pub insecure_listen: bool,
    /// Check cluster file and settings, say what is wrong, and exit
    #[arg(long)]
    pub check: bool,
    /// When to stop.
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
}
