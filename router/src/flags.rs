//! The settings as flags and environment variables tell them; `router.toml` has the same keys.

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $key:ident: $env:literal, $value_name:literal;)+) => {
        /// Every setting of `router.toml` as a flag, checked later together with the file.
        #[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
        pub struct Flags {
            $($(#[doc = $doc])+ #[arg(long, env = $env, value_name = $value_name)] pub $key: Option<String>,)+
        }

        impl Flags {
            /// The keys with what was given for them.
            pub fn into_overrides(self) -> impl Iterator<Item = (&'static str, Option<String>)> {
                [$((stringify!($key), self.$key)),+].into_iter()
            }
        }
    };
}

flags! {
    /// Address that clients connect to [default: 127.0.0.1:7400]
    listen: "ROUNDTABLE_ROUTER_LISTEN", "HOST:PORT";
    /// Threads that serve clients and nodes [default: one for every two processors, at most 64]
    threads: "ROUNDTABLE_ROUTER_THREADS", "COUNT";
    /// Independent coordinators over which keys are spread [default: as many as threads]
    coordinators: "ROUNDTABLE_ROUTER_COORDINATORS", "COUNT";
    /// Largest value taken, at most 16 MiB [default: 1 MiB]
    value_bytes_max: "ROUNDTABLE_ROUTER_VALUE_BYTES_MAX", "SIZE";
    /// Memory for values that are being received or written [default: 256 MiB]
    body_memory_max: "ROUNDTABLE_ROUTER_BODY_MEMORY_MAX", "SIZE";
    /// Connections of clients at once [default: 10000]
    connections_max: "ROUNDTABLE_ROUTER_CONNECTIONS_MAX", "COUNT";
    /// Requests in progress at once [default: 16384]
    requests_max: "ROUNDTABLE_ROUTER_REQUESTS_MAX", "COUNT";
    /// Time that a connection may lie idle before the next request's headers are there [default: 100s]
    idle_timeout: "ROUNDTABLE_ROUTER_IDLE_TIMEOUT", "TIME";
    /// Time for a request's body to arrive [default: 30s]
    body_timeout: "ROUNDTABLE_ROUTER_BODY_TIMEOUT", "TIME";
    /// Time that a request may take unless it says otherwise, at most 60s [default: 5s]
    request_timeout: "ROUNDTABLE_ROUTER_REQUEST_TIMEOUT", "TIME";
    /// Writes that may wait on one key [default: 8192]
    queue_per_key_max: "ROUNDTABLE_ROUTER_QUEUE_PER_KEY_MAX", "COUNT";
    /// Memory for keys that this router keeps writing, whose writes then take one round trip [default: 24 MiB]
    head_start_memory_max: "ROUNDTABLE_ROUTER_HEAD_START_MEMORY_MAX", "SIZE";
    /// Time that /readyz says "shutting_down" before connections are refused [default: 0s]
    drain_delay: "ROUNDTABLE_ROUTER_DRAIN_DELAY", "TIME";
    /// Time for requests in progress to end when the router is told to stop [default: 10s]
    drain_timeout: "ROUNDTABLE_ROUTER_DRAIN_TIMEOUT", "TIME";
    /// How far clocks may be apart; the nodes' own setting [default: 5s]
    max_clock_skew: "ROUNDTABLE_ROUTER_MAX_CLOCK_SKEW", "TIME";
    /// Batches on their way to a node at once, in each of two lanes [default: 1]
    link_depth: "ROUNDTABLE_ROUTER_LINK_DEPTH", "COUNT";
    /// Requests that may wait for a node in each lane [default: 65536]
    link_queue_requests_max: "ROUNDTABLE_ROUTER_LINK_QUEUE_REQUESTS_MAX", "COUNT";
    /// Bytes of requests that may wait for a node in each lane [default: 128 MiB]
    link_queue_bytes_max: "ROUNDTABLE_ROUTER_LINK_QUEUE_BYTES_MAX", "SIZE";
    /// Requests in one batch [default: 1024]
    batch_requests_max: "ROUNDTABLE_ROUTER_BATCH_REQUESTS_MAX", "COUNT";
    /// Bytes of requests in one batch [default: 4 MiB]
    batch_bytes_max: "ROUNDTABLE_ROUTER_BATCH_BYTES_MAX", "SIZE";
    /// Time after which an unanswered batch is lost and its connection closed [default: 2s]
    batch_timeout: "ROUNDTABLE_ROUTER_BATCH_TIMEOUT", "TIME";
    /// Time for a connection to a node to stand [default: 1s]
    connect_timeout: "ROUNDTABLE_ROUTER_CONNECT_TIMEOUT", "TIME";
    /// Time after which a node that has not answered is skipped, at the least [default: 100ms]
    suspect_after: "ROUNDTABLE_ROUTER_SUSPECT_AFTER", "TIME";
    /// Time after which a node that has not answered is skipped, at the most [default: 400ms]
    suspect_after_max: "ROUNDTABLE_ROUTER_SUSPECT_AFTER_MAX", "TIME";
    /// Pause between probes of a usable node [default: 1s]
    probe_interval: "ROUNDTABLE_ROUTER_PROBE_INTERVAL", "TIME";
    /// Time for a probe to be answered [default: 1s]
    probe_timeout: "ROUNDTABLE_ROUTER_PROBE_TIMEOUT", "TIME";
    /// First pause between probes of an unusable node [default: 20ms]
    probe_backoff_min: "ROUNDTABLE_ROUTER_PROBE_BACKOFF_MIN", "TIME";
    /// Longest pause between probes of an unusable node [default: 250ms]
    probe_backoff_max: "ROUNDTABLE_ROUTER_PROBE_BACKOFF_MAX", "TIME";
}
