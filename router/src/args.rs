//! The command line.

use std::path::PathBuf;

use clap::Parser;
use roundtable_common::telemetry::LogArgs;
use roundtable_common::units::{ByteSize, Duration};

use crate::config::{Config, ConfigError, RawConfig};

/// The stateless HTTP router of Roundtable: every router can serve every key
#[derive(Debug, Clone, Parser)]
#[command(name = "roundtable-router", version)]
pub struct Args {
    /// The cluster's file: nodes, replication factor, partitions
    #[arg(long, env = "ROUNDTABLE_ROUTER_CLUSTER", value_name = "FILE")]
    pub cluster: PathBuf,
    /// The router's own settings; every key has a default
    #[arg(long, env = "ROUNDTABLE_ROUTER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:7400]
    #[arg(long, env = "ROUNDTABLE_ROUTER_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Listen on an address that other machines can reach, although requests are not authenticated
    #[arg(long, env = "ROUNDTABLE_ROUTER_INSECURE_LISTEN")]
    pub insecure_listen: bool,
    /// The largest value that is taken, at most 16 MiB [default: 1 MiB]
    #[arg(long, env = "ROUNDTABLE_ROUTER_VALUE_BYTES_MAX", value_name = "SIZE")]
    pub value_bytes_max: Option<ByteSize>,
    /// Connections of clients at once [default: 10000]
    #[arg(long, env = "ROUNDTABLE_ROUTER_CONNECTIONS_MAX", value_name = "N")]
    pub connections_max: Option<usize>,
    /// Requests in progress at once [default: 16384]
    #[arg(long, env = "ROUNDTABLE_ROUTER_REQUESTS_MAX", value_name = "N")]
    pub requests_max: Option<usize>,
    /// The time that a request may take unless it says otherwise, at most 60s [default: 5s]
    #[arg(long, env = "ROUNDTABLE_ROUTER_REQUEST_TIMEOUT", value_name = "DURATION")]
    pub request_timeout: Option<Duration>,
    /// Independent coordinators over which keys are spread [default: the number of cores]
    #[arg(long, env = "ROUNDTABLE_ROUTER_COORDINATORS", value_name = "N")]
    pub coordinators: Option<usize>,
    /// How far clocks may be apart; the nodes' own setting [default: 5s]
    #[arg(long, env = "ROUNDTABLE_ROUTER_MAX_CLOCK_SKEW", value_name = "DURATION")]
    pub max_clock_skew: Option<Duration>,
    /// How long /readyz says that the router is stopping before connections are refused [default: 0s]
    #[arg(long, env = "ROUNDTABLE_ROUTER_DRAIN_DELAY", value_name = "DURATION")]
    pub drain_delay: Option<Duration>,
    /// How long requests in progress may take to end [default: 10s]
    #[arg(long, env = "ROUNDTABLE_ROUTER_DRAIN_TIMEOUT", value_name = "DURATION")]
    pub drain_timeout: Option<Duration>,
    /// Check the files and flags, say so, and exit
    #[arg(long)]
    pub check: bool,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Args {
    /// The settings of file, environment and flags together.
    ///
    /// # Errors
    /// When the file can't be read, or with all that is wrong.
    pub fn to_config(&self) -> Result<Config, ConfigError> {
        let file = self.config.as_deref().map(RawConfig::load).transpose()?.unwrap_or_default();
        RawConfig {
            listen: self.listen.clone().or(file.listen.clone()),
            value_bytes_max: self.value_bytes_max.or(file.value_bytes_max),
            connections_max: self.connections_max.or(file.connections_max),
            requests_max: self.requests_max.or(file.requests_max),
            request_timeout: self.request_timeout.or(file.request_timeout),
            coordinators: self.coordinators.or(file.coordinators),
            max_clock_skew: self.max_clock_skew.or(file.max_clock_skew),
            drain_delay: self.drain_delay.or(file.drain_delay),
            drain_timeout: self.drain_timeout.or(file.drain_timeout),
            ..file
        }
        .validate()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn flag_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("router.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\nvalue_bytes_max = \"2 MiB\"\n").unwrap();
        let line = ["x", "--cluster", "c.toml", "--listen", "[::1]:9", "--config"];
        let args = Args::try_parse_from(line.into_iter().chain([path.to_str().unwrap()])).unwrap();
        let config = args.to_config().unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:9");
        assert_eq!(config.limits.value_bytes_max, 2 << 20);
    }
}
