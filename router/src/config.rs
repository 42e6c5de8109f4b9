//! What a router can be told, checked all at once.
//!
//! `router.toml` gives values; a flag or environment variable of the same meaning wins over it.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use roundtable_common::listen::HostPort;
use roundtable_common::problems::{Problem, Problems};
use roundtable_common::units::{ByteSize, Duration};
use roundtable_common::wire::VALUE_BYTES_MAX;
use roundtable_consensus::{CoordinatorConfig, HealthConfig, OutboxLimits};
use serde::Deserialize;

/// `router.toml` as it is written; every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/router.toml describes every key with default and unit")]
pub struct RawConfig {
    pub listen: Option<String>,
    pub coordinators: Option<usize>,
    pub value_bytes_max: Option<ByteSize>,
    pub body_memory_max: Option<ByteSize>,
    pub connections_max: Option<usize>,
    pub requests_max: Option<usize>,
    pub header_timeout: Option<Duration>,
    pub body_timeout: Option<Duration>,
    pub request_timeout: Option<Duration>,
    pub drain_delay: Option<Duration>,
    pub drain_timeout: Option<Duration>,
    pub max_clock_skew: Option<Duration>,
    pub queue_per_key_max: Option<usize>,
    pub link_depth: Option<usize>,
    pub link_queue_requests_max: Option<usize>,
    pub link_queue_bytes_max: Option<ByteSize>,
    pub batch_requests_max: Option<usize>,
    pub batch_bytes_max: Option<ByteSize>,
    pub batch_timeout: Option<Duration>,
    pub connect_timeout: Option<Duration>,
    pub suspect_after: Option<Duration>,
    pub suspect_after_max: Option<Duration>,
    pub probe_interval: Option<Duration>,
    pub probe_timeout: Option<Duration>,
    pub probe_backoff_min: Option<Duration>,
    pub probe_backoff_max: Option<Duration>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration file {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, has a key that is not known, or a value of another type.
    #[error("the configuration file {path} is not accepted: {source}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: toml::de::Error,
    },
    /// Values out of range, all of them.
    #[error("the configuration is not accepted: {0}")]
    Invalid(Problems),
}

/// A router's configuration; every value is in its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listen: HostPort,
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
    /// The time in which a request's headers must arrive.
    pub header_timeout: StdDuration,
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

/// The address that a router listens on unless it is told another.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:7400";

impl RawConfig {
    /// Reads a `router.toml`.
    ///
    /// # Errors
    /// When it can't be read or is not one.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all that is wrong.
    pub fn validate(self) -> Result<Config, ConfigError> {
        let mut check = Check(Problems::default());
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let config = Config {
            listen: check.listen(self.listen.as_deref()),
            coordinators: check.count("coordinators", self.coordinators, cores.clamp(1, 64), 1..=256),
            limits: Limits {
                value_bytes_max: check.bytes(
                    "value_bytes_max",
                    self.value_bytes_max,
                    1 << 20,
                    1..=VALUE_BYTES_MAX,
                ),
                body_memory_max: check.bytes(
                    "body_memory_max",
                    self.body_memory_max,
                    256 << 20,
                    VALUE_BYTES_MAX..=1 << 40,
                ),
                connections_max: check.count("connections_max", self.connections_max, 10_000, 1..=1_000_000),
                requests_max: check.count("requests_max", self.requests_max, 16_384, 1..=1_000_000),
                header_timeout: check.time("header_timeout", self.header_timeout, 10_000, 100..=600_000),
                body_timeout: check.time("body_timeout", self.body_timeout, 30_000, 100..=600_000),
                request_timeout: check.time("request_timeout", self.request_timeout, 5_000, 1..=60_000),
            },
            drain: Drain {
                delay: check.time("drain_delay", self.drain_delay, 0, 0..=600_000),
                timeout: check.time("drain_timeout", self.drain_timeout, 10_000, 0..=600_000),
            },
            coordinator: CoordinatorConfig {
                skew_ms_max: millis(check.time("max_clock_skew", self.max_clock_skew, 5_000, 1..=3_600_000)),
                queue_per_key_max: check.count(
                    "queue_per_key_max",
                    self.queue_per_key_max,
                    8_192,
                    1..=1_000_000,
                ),
                ..CoordinatorConfig::default()
            },
            link: LinkConfig {
                outbox: OutboxLimits {
                    depth: check.count("link_depth", self.link_depth, 2, 1..=64),
                    queue_items_max: check.count(
                        "link_queue_requests_max",
                        self.link_queue_requests_max,
                        65_536,
                        1..=10_000_000,
                    ),
                    queue_bytes_max: check.bytes(
                        "link_queue_bytes_max",
                        self.link_queue_bytes_max,
                        128 << 20,
                        VALUE_BYTES_MAX..=1 << 40,
                    ),
                    batch_items_max: check.count(
                        "batch_requests_max",
                        self.batch_requests_max,
                        1_024,
                        1..=16_384,
                    ),
                    batch_bytes_max: check.bytes(
                        "batch_bytes_max",
                        self.batch_bytes_max,
                        4 << 20,
                        1..=32 << 20,
                    ),
                },
                health: HealthConfig {
                    suspect_after_us: micros(check.time(
                        "suspect_after",
                        self.suspect_after,
                        100,
                        1..=60_000,
                    )),
                    suspect_after_us_max: micros(check.time(
                        "suspect_after_max",
                        self.suspect_after_max,
                        400,
                        1..=60_000,
                    )),
                    probe_interval_us: micros(check.time(
                        "probe_interval",
                        self.probe_interval,
                        1_000,
                        10..=60_000,
                    )),
                    probe_backoff_us_min: micros(check.time(
                        "probe_backoff_min",
                        self.probe_backoff_min,
                        20,
                        1..=60_000,
                    )),
                    probe_backoff_us_max: micros(check.time(
                        "probe_backoff_max",
                        self.probe_backoff_max,
                        1_000,
                        1..=600_000,
                    )),
                },
                batch_timeout: check.time("batch_timeout", self.batch_timeout, 2_000, 10..=60_000),
                connect_timeout: check.time("connect_timeout", self.connect_timeout, 1_000, 10..=60_000),
                probe_timeout: check.time("probe_timeout", self.probe_timeout, 1_000, 10..=60_000),
            },
        };
        check.relations(&config);
        check.0.into_result(config).map_err(ConfigError::Invalid)
    }
}

/// Collects what is wrong while values are read.
struct Check(Problems);

impl Check {
    fn listen(&mut self, text: Option<&str>) -> HostPort {
        let text = text.unwrap_or(LISTEN_DEFAULT);
        HostPort::parse_listen(text).unwrap_or_else(|error| {
            self.refuse("listen", format!("{text:?}"), error.to_string());
            // The default is an address: a test holds it.
            HostPort::parse_listen(LISTEN_DEFAULT)
                .unwrap_or_else(|_| unreachable!("the default address parses"))
        })
    }

    fn count(
        &mut self,
        key: &str,
        value: Option<usize>,
        default: usize,
        accepted: RangeInclusive<usize>,
    ) -> usize {
        let value = value.unwrap_or(default);
        if !accepted.contains(&value) {
            let range = format!("{} to {} is accepted", accepted.start(), accepted.end());
            self.refuse(key, format!("is {value}"), range);
        }
        value.max(1)
    }

    fn bytes(
        &mut self,
        key: &str,
        value: Option<ByteSize>,
        default: usize,
        accepted: RangeInclusive<usize>,
    ) -> usize {
        let value = value.map_or(default, ByteSize::as_usize);
        if !accepted.contains(&value) {
            let shown = |bytes: usize| ByteSize::new(bytes as u64);
            let range = format!("{} to {} is accepted", shown(*accepted.start()), shown(*accepted.end()));
            self.refuse(key, format!("is {}", shown(value)), range);
        }
        value.max(1)
    }

    fn time(
        &mut self,
        key: &str,
        value: Option<Duration>,
        default_ms: u64,
        accepted_ms: RangeInclusive<u64>,
    ) -> StdDuration {
        let value = value.unwrap_or(Duration::from_millis(default_ms));
        let (least, most) =
            (Duration::from_millis(*accepted_ms.start()), Duration::from_millis(*accepted_ms.end()));
        if value < least || value > most {
            self.refuse(key, format!("is {value}"), format!("{least} to {most} is accepted"));
        }
        value.get()
    }

    fn relations(&mut self, config: &Config) {
        let health = &config.link.health;
        let pairs = [
            ("suspect_after", "suspect_after_max", health.suspect_after_us, health.suspect_after_us_max),
            (
                "probe_backoff_min",
                "probe_backoff_max",
                health.probe_backoff_us_min,
                health.probe_backoff_us_max,
            ),
            (
                "suspect_after_max",
                "batch_timeout",
                health.suspect_after_us_max,
                micros(config.link.batch_timeout),
            ),
        ];
        for (smaller, larger, a, b) in pairs {
            if a > b {
                let found = format!("is {}", Duration::from(StdDuration::from_micros(a)));
                self.refuse(smaller, found, format!("at most {larger} is accepted"));
            }
        }
    }

    fn refuse(&mut self, key: &str, found: String, accepted: String) {
        self.0.push(Problem { line: None, key: key.to_owned(), found, accepted });
    }
}

fn micros(duration: StdDuration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: StdDuration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RawConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn empty_file_gives_the_defaults() {
        let config = parse("").validate().unwrap();
        assert_eq!(config.listen.to_string(), LISTEN_DEFAULT);
        assert_eq!(config.limits.value_bytes_max, 1 << 20);
        assert_eq!(config.link.outbox.depth, 2);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = "listen = \"nowhere\"\nvalue_bytes_max = \"17 MiB\"\nlink_depth = 0\nrequest_timeout = \"61s\"\n\
                    suspect_after = \"500ms\"\n";
        let ConfigError::Invalid(problems) = parse(text).validate().unwrap_err() else {
            panic!("not invalid")
        };
        let keys: Vec<_> = problems.as_slice().iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["listen", "value_bytes_max", "request_timeout", "link_depth", "suspect_after"]);
    }

    #[test]
    fn unknown_key_is_refused_by_name() {
        let error = toml::from_str::<RawConfig>("value_byte_max = 1").unwrap_err();
        assert!(error.to_string().contains("value_byte_max"), "{error}");
    }

    #[test]
    fn shipped_file_names_every_key_with_its_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/router.toml");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(RawConfig::load(Path::new(path)).unwrap(), RawConfig::default(), "shipped commented out");
        let is_setting =
            |line: &&str| line.starts_with("#") && line.contains(" = ") && !line.starts_with("# ");
        let settings: String =
            text.lines().filter(is_setting).map(|line| format!("{}\n", &line[1..])).collect();
        let mut raw = parse(&settings);
        let debug = format!("{raw:?}");
        assert!(!debug.replace("coordinators: None", "").contains("None"), "not in the file: {debug}");
        raw.coordinators = None;
        assert_eq!(raw.validate().unwrap(), parse("").validate().unwrap());
    }
}
