//! The validated settings of a node.

use std::str::FromStr;
use std::thread;
use std::time::Duration as StdDuration;

use roundtable_common::listen::{HostPort, ParseAddressError};
use roundtable_common::problems::Problems;
use roundtable_common::settings::Settings;
use roundtable_common::units::{ByteSize, Duration};
use roundtable_common::wire::BODY_BYTES_MAX;
use roundtable_consensus::ReplicaConfig;

use crate::committer::Durability;
use crate::pipeline::PipelineConfig;
use crate::store::StoreOptions;
use crate::store::format::INLINE_BYTES_MAX;

/// Everything that an operator may choose, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; `None` for the node's address in `cluster.toml`.
    pub listen: Option<HostPort>,
    /// The store.
    pub store: StoreOptions,
    /// What decides and commits.
    pub pipeline: PipelineConfig,
    /// Below this many free bytes, writes that grow are refused.
    pub free_bytes_min: u64,
    /// The HTTP server.
    pub server: ServerConfig,
    /// Time for another node to answer.
    pub peer_timeout: StdDuration,
    /// Threads that serve HTTP and decide, at least 1.
    pub http_threads: usize,
}

/// Limits of the HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConfig {
    /// Memory for requests and replies under way, in bytes.
    pub in_flight_bytes_max: usize,
    /// Longest body in bytes.
    pub body_bytes_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Scans at once; further ones wait for their turn.
    pub scans_max: usize,
    /// Time for a request's body to arrive.
    pub receive_timeout: StdDuration,
    /// Time that a connection may lie idle before the next request's headers are there.
    pub idle_timeout: StdDuration,
    /// Time for requests under way to end when the node is told to stop.
    pub drain_timeout: StdDuration,
}

/// What stands before the names of the environment variables.
pub const VARIABLE_PREFIX: &str = "ROUNDTABLE_NODE_";

impl Config {
    /// Checks every setting; what is not set has its default.
    ///
    /// # Errors
    /// All problems at once, each with key, value and what is accepted.
    pub fn new(mut settings: Settings) -> Result<Self, Problems> {
        let set = &mut settings;
        let durability = durability(set);
        let http_threads = set.get_within("http_threads", default_http_threads(), 1..=256);
        let shards = set.get_within("shards", http_threads, 1..=256);
        let register_cache =
            set.get_within("register_cache", mib(64), ByteSize::new(0)..=gib(1024)).as_usize();
        let config = Self {
            listen: set.get_optional::<Listen>("listen", HOST_PORT).map(|Listen(address)| address),
            store: StoreOptions {
                block_cache_bytes: set.get_within("block_cache", mib(192), mib(8)..=gib(1024)).as_usize(),
                write_buffer_bytes: set.get_within("write_buffer", mib(128), mib(4)..=gib(64)).as_usize(),
                sync_each_commit: durability == Durability::Sync,
                background_jobs: set.get_within("background_jobs", 2, 1..=64),
            },
            pipeline: PipelineConfig {
                shards,
                queue_batches_max: set.get_within("queue_batches_max", 1024, 1..=1_000_000),
                durability,
                log_bytes_max: set.get_within("log_bytes_max", gib(1), mib(1)..=gib(1024)).get(),
                replica: ReplicaConfig {
                    clock_skew_ms_max: set
                        .get_within("max_clock_skew", secs(5), secs(1)..=secs(60))
                        .as_millis(),
                    inline_bytes_max: INLINE_BYTES_MAX,
                    recent_bytes_max: register_cache / usize::from(shards),
                    ..ReplicaConfig::STANDARD
                },
            },
            free_bytes_min: set.get_within("free_bytes_min", gib(1), ByteSize::new(0)..=gib(1 << 20)).get(),
            server: server(set),
            peer_timeout: set.get_within("peer_timeout", secs(2), millis(100)..=secs(60)).get(),
            http_threads: http_threads.into(),
        };
        settings.finish()?;
        Ok(config)
    }
}

fn server(set: &mut Settings) -> ServerConfig {
    let body_max = ByteSize::new(BODY_BYTES_MAX as u64);
    ServerConfig {
        in_flight_bytes_max: set.get_within("in_flight_bytes_max", mib(512), mib(64)..=gib(1024)).as_usize(),
        body_bytes_max: set.get_within("body_bytes_max", body_max, mib(1)..=body_max).as_usize(),
        connections_max: set.get_within("connections_max", 4096, 8..=1_000_000),
        scans_max: set.get_within("scans_max", 4, 1..=256),
        receive_timeout: set.get_within("receive_timeout", secs(30), secs(1)..=secs(3600)).get(),
        idle_timeout: set.get_within("idle_timeout", secs(600), secs(1)..=secs(86_400)).get(),
        drain_timeout: set.get_within("drain_timeout", secs(10), millis(0)..=secs(3600)).get(),
    }
}

fn durability(set: &mut Settings) -> Durability {
    let interval = set.get_within("sync_interval", millis(100), millis(1)..=secs(60));
    match set.get("durability", When::Sync, "\"sync\" or \"interval\"") {
        When::Sync => Durability::Sync,
        When::Interval => Durability::Interval(interval.get()),
    }
}

/// The word in the file.
enum When {
    Sync,
    Interval,
}

impl FromStr for When {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "sync" => Ok(Self::Sync),
            "interval" => Ok(Self::Interval),
            _ => Err(()),
        }
    }
}

/// An address to listen on: port 0 is accepted.
struct Listen(HostPort);

impl FromStr for Listen {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        HostPort::parse_listen(text).map(Self)
    }
}

const HOST_PORT: &str = "host:port, such as 127.0.0.1:7410 or [::1]:7410";

const fn mib(count: u64) -> ByteSize {
    ByteSize::mib(count)
}

const fn gib(count: u64) -> ByteSize {
    ByteSize::gib(count)
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Half of the processors: the others commit, compact and serve the network. They decide as well, each on any shard,
/// so there are as many shards.
fn default_http_threads() -> u16 {
    u16::try_from((processors() / 2).clamp(1, 16)).unwrap_or(1)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flags::Flags;

    fn config(text: &str, flags: Flags) -> Result<Config, Problems> {
        Config::new(Settings::parse(text, VARIABLE_PREFIX, flags.into_overrides()))
    }

    #[test]
    fn config_without_settings_has_the_defaults() {
        let config = config("", Flags::default()).unwrap();
        assert_eq!(config.pipeline.durability, Durability::Sync);
        assert!(config.store.sync_each_commit);
        assert_eq!(config.pipeline.replica.clock_skew_ms_max, 5_000);
        assert_eq!(config.server.body_bytes_max, BODY_BYTES_MAX);
    }

    #[test]
    fn config_with_many_problems_tells_all_of_them() {
        let text =
            "listen = 'nowhere'\ndurability = 'maybe'\nblock_cache = '1 KiB'\nblock_cash = 1\nshards = 0";
        let flags = Flags { peer_timeout: Some("soon".into()), ..Flags::default() };
        let told = config(text, flags).unwrap_err().to_string();
        for word in [
            "listen",
            "durability",
            "block_cache",
            "block_cash",
            "shards",
            "peer-timeout",
            "1 to 256",
            "\"maybe\"",
        ] {
            assert!(told.contains(word), "{word} is not in: {told}");
        }
    }

    #[test]
    fn config_flag_goes_over_the_file() {
        let flags = Flags { shards: Some("3".into()), ..Flags::default() };
        let config = config("shards = 5\nscans_max = 7", flags).unwrap();
        assert_eq!((config.pipeline.shards, config.server.scans_max), (3, 7));
    }

    #[test]
    fn shipped_config_file_names_every_key_with_its_default() {
        let text = include_str!("../../config/node.toml");
        // As shipped every setting is commented out; uncommented they are the defaults.
        let is_setting = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
        let settings: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix('#')).filter(is_setting).collect();
        let keys: BTreeSet<&str> = settings.iter().filter_map(|line| line.split(' ').next()).collect();
        let expected: BTreeSet<&str> = Flags::default().into_overrides().map(|(key, _)| key).collect();
        assert_eq!(keys, expected);
        let mut uncommented = config(&settings.join("\n"), Flags::default()).unwrap();
        let defaults = config("", Flags::default()).unwrap();
        // These depend on the machine and the cluster.
        uncommented.pipeline.shards = defaults.pipeline.shards;
        uncommented.http_threads = defaults.http_threads;
        uncommented.listen = None;
        assert_eq!(format!("{uncommented:?}"), format!("{defaults:?}"));
        let as_shipped = config(text, Flags::default()).unwrap();
        assert_eq!(format!("{as_shipped:?}"), format!("{defaults:?}"));
    }
}
