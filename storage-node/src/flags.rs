//! The settings as flags and environment variables tell them; `node.toml` has the same keys.

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $key:ident: $env:literal, $value_name:literal;)+) => {
        /// Every setting of `node.toml` as a flag, checked later together with the file.
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
    /// Address to listen on [default: the node's address in cluster.toml]
    listen: "ROUNDTABLE_NODE_LISTEN", "HOST:PORT";
    /// When a write is synced: "sync", before it is answered, or "interval", at least every sync_interval (a power cut of one node can lose or revert writes that were answered) [default: sync]
    durability: "ROUNDTABLE_NODE_DURABILITY", "WHEN";
    /// Time between syncs with durability = "interval" [default: 100ms]
    sync_interval: "ROUNDTABLE_NODE_SYNC_INTERVAL", "TIME";
    /// Memory for registers asked for or written lately [default: 64 MiB]
    register_cache: "ROUNDTABLE_NODE_REGISTER_CACHE", "SIZE";
    /// Memory for blocks read from disk [default: 192 MiB]
    block_cache: "ROUNDTABLE_NODE_BLOCK_CACHE", "SIZE";
    /// Memory for recent writes [default: 128 MiB]
    write_buffer: "ROUNDTABLE_NODE_WRITE_BUFFER", "SIZE";
    /// Threads for flushing and compaction [default: 2]
    background_jobs: "ROUNDTABLE_NODE_BACKGROUND_JOBS", "COUNT";
    /// Free disk space below which writes that grow are refused [default: 1 GiB]
    free_bytes_min: "ROUNDTABLE_NODE_FREE_BYTES_MIN", "SIZE";
    /// Length of the replication log at which its oldest entries are dropped [default: 1 GiB]
    log_bytes_max: "ROUNDTABLE_NODE_LOG_BYTES_MAX", "SIZE";
    /// How far ahead of this node's clock a ballot may be [default: 5s]
    max_clock_skew: "ROUNDTABLE_NODE_MAX_CLOCK_SKEW", "TIME";
    /// Slices of the keys that are decided independently [default: as many as HTTP threads]
    shards: "ROUNDTABLE_NODE_SHARDS", "COUNT";
    /// Threads that serve HTTP and decide [default: one for every two processors, at most 16]
    http_threads: "ROUNDTABLE_NODE_HTTP_THREADS", "COUNT";
    /// Batches that may wait for the disk [default: 1024]
    queue_batches_max: "ROUNDTABLE_NODE_QUEUE_BATCHES_MAX", "COUNT";
    /// Memory for requests and replies under way [default: 512 MiB]
    in_flight_bytes_max: "ROUNDTABLE_NODE_IN_FLIGHT_BYTES_MAX", "SIZE";
    /// Longest body taken [default: 64 MiB]
    body_bytes_max: "ROUNDTABLE_NODE_BODY_BYTES_MAX", "SIZE";
    /// Connections at once [default: 4096]
    connections_max: "ROUNDTABLE_NODE_CONNECTIONS_MAX", "COUNT";
    /// Scans at once [default: 4]
    scans_max: "ROUNDTABLE_NODE_SCANS_MAX", "COUNT";
    /// Time for a request's body to arrive [default: 30s]
    receive_timeout: "ROUNDTABLE_NODE_RECEIVE_TIMEOUT", "TIME";
    /// Time that a connection may lie idle before the next request's headers are there [default: 10m]
    idle_timeout: "ROUNDTABLE_NODE_IDLE_TIMEOUT", "TIME";
    /// Time for another node to answer [default: 2s]
    peer_timeout: "ROUNDTABLE_NODE_PEER_TIMEOUT", "TIME";
    /// Time for requests under way to end when the node is told to stop [default: 10s]
    drain_timeout: "ROUNDTABLE_NODE_DRAIN_TIMEOUT", "TIME";
}
