//! What a router can be told, checked all at once.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use roundtable_common::listen::{HostPort, ParseAddressError};
use roundtable_common::problems::{Problem, Problems};
use roundtable_common::settings::Settings;
use roundtable_common::units::{ByteSize, Duration};
use roundtable_common::wire::{REQUESTS_MAX, VALUE_BYTES_MAX};
use roundtable_consensus::{CoordinatorConfig, HealthConfig, OutboxLimits};

/// What stands before the names of the environment variables.
pub const VARIABLE_PREFIX: &str = "ROUNDTABLE_ROUTER_";

/// A router's configuration; every value is in its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listen: HostPort,
    /// Threads that serve clients and nodes, at least 1.
    pub threads: usize,
    /// Independent coordinators; keys are spread over them.
    pub coordinators: usize,
    /// What clients are allowed.
    pub limits: Limits,
    /// How the process stops.
    pub drain: Drain,
    /// The coordinators' limits and paces.
    pub coordinator: CoordinatorConfig,
    /// The connections to nodes.
    pub link: LinkConfig,
}

/// Bounds on what clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest value in bytes.
    pub value_bytes_max: usize,
    /// Bytes of values in memory that are being received or written.
    pub body_memory_max: usize,
    /// Connections of clients at once.
    pub connections_max: usize,
    /// Requests in progress at once.
    pub requests_max: usize,
    /// The time that a connection may lie idle before the next request's headers are there.
    pub idle_timeout: StdDuration,
    /// The time in which a request's body must arrive.
    pub body_timeout: StdDuration,
    /// The time that a request may take unless it says otherwise.
    pub request_timeout: StdDuration,
}

/// How the process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long `/readyz` says that it is stopping before new connections are refused.
    pub delay: StdDuration,
    /// How long requests in progress may take to end.
    pub timeout: StdDuration,
}

/// How nodes are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkConfig {
    /// Queue and batches of each lane of a node's link.
    pub outbox: OutboxLimits,
    /// Failure detection.
    pub health: HealthConfig,
    /// A batch without an answer for this long is lost, and its connection closed.
    pub batch_timeout: StdDuration,
    /// The time in which a connection must stand.
    pub connect_timeout: StdDuration,
    /// The time in which a probe must be answered.
    pub probe_timeout: StdDuration,
}

impl Config {
    /// Checks every setting; what is not set has its default.
    ///
    /// # Errors
    /// All problems at once, each with key, value and what is accepted.
    pub fn new(mut settings: Settings) -> Result<Self, Problems> {
        let set = &mut settings;
        let threads = set.get_within("threads", default_threads(), 1..=256);
        let coordinators = set.get_within("coordinators", threads, 1..=256);
        let head_starts = set.get_within("head_start_memory_max", mib(24), ByteSize::new(0)..=gib(1024));
        let config = Self {
            threads,
            listen: set.get("listen", Listen::default(), HOST_PORT).0,
            coordinators,
            limits: limits(set),
            drain: Drain {
                delay: set.get_within("drain_delay", millis(0), millis(0)..=secs(600)).get(),
                timeout: set.get_within("drain_timeout", secs(10), millis(0)..=secs(3600)).get(),
            },
            coordinator: CoordinatorConfig {
                skew_ms_max: set.get_within("max_clock_skew", secs(5), secs(1)..=secs(60)).as_millis(),
                queue_per_key_max: set.get_within("queue_per_key_max", 8_192, 1..=1_000_000),
                head_starts_bytes_max: head_starts.as_usize() / coordinators,
                ..CoordinatorConfig::default()
            },
            link: LinkConfig {
                outbox: outbox(set),
                health: health(set),
                batch_timeout: set.get_within("batch_timeout", secs(2), millis(10)..=secs(60)).get(),
                connect_timeout: set.get_within("connect_timeout", secs(1), millis(10)..=secs(60)).get(),
                probe_timeout: set.get_within("probe_timeout", secs(1), millis(10)..=secs(60)).get(),
            },
        };
        settings.finish()?;
        config.related()
    }

    /// Checks settings against each other.
    fn related(self) -> Result<Self, Problems> {
        let health = &self.link.health;
        let batch_timeout_us = Duration::from(self.link.batch_timeout).as_micros();
        let pairs = [
            ("suspect_after", health.suspect_after_us, "suspect_after_max", health.suspect_after_us_max),
            ("suspect_after_max", health.suspect_after_us_max, "batch_timeout", batch_timeout_us),
            (
                "probe_backoff_min",
                health.probe_backoff_us_min,
                "probe_backoff_max",
                health.probe_backoff_us_max,
            ),
        ];
        let mut problems = Problems::default();
        for (smaller, smaller_us, larger, larger_us) in pairs {
            if smaller_us > larger_us {
                let shown = |us| Duration::from(StdDuration::from_micros(us));
                problems.push(Problem {
                    line: None,
                    key: smaller.into(),
                    found: format!("= {}", shown(smaller_us)),
                    accepted: format!("accepted is at most {larger}, {}", shown(larger_us)),
                });
            }
        }
        problems.into_result(self)
    }
}

/// Half of the processors: the system's network code needs the others. Each further thread costs wake-ups.
fn default_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (processors / 2).clamp(1, 64)
}

fn limits(set: &mut Settings) -> Limits {
    let value_max = ByteSize::new(VALUE_BYTES_MAX as u64);
    Limits {
        value_bytes_max: set.get_within("value_bytes_max", mib(1), ByteSize::new(1)..=value_max).as_usize(),
        body_memory_max: set.get_within("body_memory_max", mib(256), value_max..=gib(1024)).as_usize(),
        connections_max: set.get_within("connections_max", 10_000, 1..=1_000_000),
        requests_max: set.get_within("requests_max", 16_384, 1..=1_000_000),
        idle_timeout: set.get_within("idle_timeout", secs(100), millis(100)..=secs(86_400)).get(),
        body_timeout: set.get_within("body_timeout", secs(30), millis(100)..=secs(3600)).get(),
        request_timeout: set.get_within("request_timeout", secs(5), millis(1)..=secs(60)).get(),
    }
}

fn outbox(set: &mut Settings) -> OutboxLimits {
    let value_max = ByteSize::new(VALUE_BYTES_MAX as u64);
    OutboxLimits {
        depth: set.get_within("link_depth", 1, 1..=64),
        queue_items_max: set.get_within("link_queue_requests_max", 65_536, 1..=10_000_000),
        queue_bytes_max: set.get_within("link_queue_bytes_max", mib(128), value_max..=gib(1024)).as_usize(),
        batch_items_max: set.get_within("batch_requests_max", 1_024, 1..=REQUESTS_MAX),
        batch_bytes_max: set.get_within("batch_bytes_max", mib(4), ByteSize::kib(1)..=mib(32)).as_usize(),
    }
}

fn health(set: &mut Settings) -> HealthConfig {
    let mut time =
        |key, default: Duration, least, most| set.get_within(key, default, least..=most).as_micros();
    HealthConfig {
        suspect_after_us: time("suspect_after", millis(100), millis(1), secs(60)),
        suspect_after_us_max: time("suspect_after_max", millis(400), millis(1), secs(60)),
        probe_interval_us: time("probe_interval", secs(1), millis(10), secs(60)),
        probe_backoff_us_min: time("probe_backoff_min", millis(20), millis(1), secs(60)),
        probe_backoff_us_max: time("probe_backoff_max", millis(250), millis(1), secs(600)),
    }
}

/// An address to listen on: port 0 is accepted.
struct Listen(HostPort);

const HOST_PORT: &str = "host:port, such as 127.0.0.1:7400 or [::1]:7400";

impl FromStr for Listen {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        HostPort::parse_listen(text).map(Self)
    }
}

impl Default for Listen {
    fn default() -> Self {
        let Ok(listen) = "127.0.0.1:7400".parse() else { unreachable!("the default is an address") };
        listen
    }
}

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
        assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
        assert_eq!((config.limits.value_bytes_max, config.link.outbox.depth), (1 << 20, 1));
    }

    #[test]
    fn config_shares_the_memory_for_head_starts_among_the_coordinators() {
        let config = config("coordinators = 3\nhead_start_memory_max = '48 MiB'", Flags::default()).unwrap();
        assert_eq!(config.coordinator.head_starts_bytes_max, 16 << 20);
    }

    #[test]
    fn config_with_many_problems_tells_all_of_them() {
        let text = "listen = 'nowhere'\nvalue_bytes_max = '17 MiB'\nlink_deep = 1\nrequest_timeout = '61s'";
        let flags = Flags { link_depth: Some("0".into()), ..Flags::default() };
        let told = config(text, flags).unwrap_err().to_string();
        for word in ["listen", "value_bytes_max", "link_deep", "request_timeout", "--link-depth"] {
            assert!(told.contains(word), "{word} is missing in {told}");
        }
    }

    #[test]
    fn config_whose_bounds_cross_is_refused() {
        let told = config("suspect_after = '500ms'\nbatch_timeout = '300ms'", Flags::default()).unwrap_err();
        let keys: Vec<&str> = told.as_slice().iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["suspect_after", "suspect_after_max"]);
    }

    #[test]
    fn config_flag_goes_over_the_file() {
        let flags = Flags { listen: Some("[::1]:9".into()), ..Flags::default() };
        let config = config("listen = '127.0.0.1:1'\nlink_depth = 3", flags).unwrap();
        assert_eq!((config.listen.to_string().as_str(), config.link.outbox.depth), ("[::1]:9", 3));
    }

    #[test]
    fn shipped_config_file_names_every_key_with_its_default() {
        let text = include_str!("../../config/router.toml");
        // As shipped every setting is commented out; uncommented they are the defaults.
        let is_setting = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
        let settings: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix('#')).filter(is_setting).collect();
        let keys: BTreeSet<&str> = settings.iter().filter_map(|line| line.split(' ').next()).collect();
        let expected: BTreeSet<&str> = Flags::default().into_overrides().map(|(key, _)| key).collect();
        assert_eq!(keys, expected);
        let mut uncommented = config(&settings.join("\n"), Flags::default()).unwrap();
        let defaults = config("", Flags::default()).unwrap();
        // These depend on the machine.
        uncommented.threads = defaults.threads;
        uncommented.coordinators = defaults.coordinators;
        uncommented.coordinator.head_starts_bytes_max = defaults.coordinator.head_starts_bytes_max;
        assert_eq!(uncommented, defaults);
        assert_eq!(config(text, Flags::default()).unwrap(), defaults);
    }
}
