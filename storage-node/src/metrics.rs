//! What the node counts and measures. `docs/metrics.md` describes each; a test compares the two.

use std::fmt;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use roundtable_common::telemetry::{self, Recurring, Service};
use roundtable_common::wire::Refused;
use roundtable_consensus::{Reply, ReplyBody, Request};

use crate::metric_labels::{
    KindLabel, ReclaimKind, ReclaimLabel, RefusalLabel, RefusalReason, RejectionLabel, RejectionReason,
    RequestKind,
};
use crate::store::{CommitStats, LogBounds, Reclaim, StoreError, StoreStats};

/// The node's metrics with their registry.
pub struct Metrics {
    registry: Registry,
    requests: Family<KindLabel, Counter>,
    rejections: Family<RejectionLabel, Counter>,
    refusals: Family<RefusalLabel, Counter>,
    batch_requests: Histogram,
    batch_seconds: Histogram,
    commit_registers: Histogram,
    commit_bytes: Counter,
    commit_seconds: Histogram,
    scan_entries: Counter,
    scan_rows: Counter,
    scan_seconds: Histogram,
    read_errors: Counter,
    /// Reads from disk fail.
    unreadable: Recurring,
    reclaims: Family<ReclaimLabel, Counter>,
    /// Requests whose register was looked up in the store.
    pub(crate) register_reads: Counter,
    /// Memory of the registers kept beside the store.
    pub(crate) register_cache_bytes: Gauge,
    /// Entries dropped because the replication log was at its limit.
    pub(crate) log_dropped_entries: Counter,
    /// Connections open.
    pub(crate) connections: Gauge,
    /// Connections closed at once because there were too many.
    pub(crate) connections_refused: Counter,
    gauges: Gauges,
}

/// What is read when the metrics are asked for.
#[derive(Debug, Default)]
struct Gauges {
    ready: Gauge,
    epoch: Gauge,
    in_flight_bytes: Gauge,
    disk_free_bytes: Gauge,
    disk_reserve_bytes: Gauge,
    disk_low: Gauge,
    log_bytes: Gauge,
    log_entries: Gauge,
    log_next_seq: Gauge,
    unapplied_bytes: Gauge,
    memtable_bytes: Gauge,
    table_bytes: Gauge,
    blob_bytes: Gauge,
    blob_garbage_bytes: Gauge,
    dead_value_bytes: Gauge,
    dead_register_bytes: Gauge,
    block_cache_bytes: Gauge,
    compaction_pending_bytes: Gauge,
    registers: Gauge,
    background_errors: Gauge,
}

/// The state that the gauges show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Observed {
    pub(crate) ready: bool,
    pub(crate) epoch: u64,
    pub(crate) in_flight_bytes: usize,
    pub(crate) disk_free_bytes: u64,
    pub(crate) disk_reserve_bytes: u64,
    pub(crate) disk_low: bool,
    pub(crate) log: LogBounds,
    pub(crate) store: StoreStats,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero, registered.
    #[must_use]
    pub fn new() -> Self {
        // 50 µs to 13 s: from a cached read to a disk in trouble.
        let seconds = || Histogram::new(exponential_buckets(0.000_05, 2.0, 18));
        let counts = || Histogram::new(exponential_buckets(1.0, 4.0, 8));
        let mut metrics = Self {
            registry: telemetry::registry(Service::Node),
            requests: Family::default(),
            rejections: Family::default(),
            refusals: Family::default(),
            batch_requests: counts(),
            batch_seconds: seconds(),
            commit_registers: counts(),
            commit_bytes: Counter::default(),
            commit_seconds: seconds(),
            scan_entries: Counter::default(),
            scan_rows: Counter::default(),
            scan_seconds: seconds(),
            read_errors: Counter::default(),
            unreadable: Recurring::new(),
            reclaims: Family::default(),
            register_reads: Counter::default(),
            register_cache_bytes: Gauge::default(),
            log_dropped_entries: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            gauges: Gauges::default(),
        };
        metrics.make_all_labels();
        metrics.register();
        metrics
    }

    /// The text of the metrics page.
    ///
    /// # Errors
    /// When a collector cannot write its metrics.
    pub(crate) fn encode(&self, observed: &Observed) -> Result<String, fmt::Error> {
        self.gauges.set(observed);
        telemetry::encode(&self.registry)
    }

    pub(crate) fn observe_requests(&self, requests: &[Request]) {
        self.batch_requests.observe(requests.len() as f64);
        for request in requests {
            let kind = RequestKind::of(&request.body);
            self.requests.get_or_create(&KindLabel { kind }).inc();
        }
    }

    pub(crate) fn observe_replies(&self, replies: &[Reply], took: Duration) {
        self.batch_seconds.observe(took.as_secs_f64());
        for reply in replies {
            let ReplyBody::Rejected(rejection) = &reply.body else { continue };
            let reason = RejectionReason::of(rejection);
            self.rejections.get_or_create(&RejectionLabel { reason }).inc();
        }
    }

    pub(crate) fn observe_refusal(&self, refused: &Refused) {
        let reason = RefusalReason::of(refused);
        self.refusals.get_or_create(&RefusalLabel { reason }).inc();
    }

    pub(crate) fn observe_commit(&self, stats: &CommitStats, took: Duration) {
        if stats.bytes > 0 {
            self.commit_registers.observe(stats.accepts as f64);
            self.commit_bytes.inc_by(stats.bytes);
            self.commit_seconds.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn observe_scan(&self, entries: usize, rows: u64, took: Duration) {
        self.scan_entries.inc_by(entries as u64);
        self.scan_rows.inc_by(rows);
        self.scan_seconds.observe(took.as_secs_f64());
    }

    /// Something could not be read from disk. Each is counted; the log has one line a minute.
    pub(crate) fn observe_read_error(&self, error: &StoreError) {
        self.read_errors.inc();
        if let Some(count) = self.unreadable.met() {
            tracing::error!(%error, count, "cannot read from the disk: requests for it are refused");
        }
    }

    pub(crate) fn observe_reclaim(&self, work: Reclaim) {
        self.reclaims.get_or_create(&ReclaimLabel { work: ReclaimKind::of(work) }).inc();
    }

    /// A family tells a label set only once it exists; a graph should begin at zero.
    fn make_all_labels(&self) {
        for &kind in RequestKind::ALL {
            drop(self.requests.get_or_create(&KindLabel { kind }));
        }
        for &reason in RejectionReason::ALL {
            drop(self.rejections.get_or_create(&RejectionLabel { reason }));
        }
        for &work in ReclaimKind::ALL {
            drop(self.reclaims.get_or_create(&ReclaimLabel { work }));
        }
        for &reason in RefusalReason::ALL {
            drop(self.refusals.get_or_create(&RefusalLabel { reason }));
        }
    }

    fn register(&mut self) {
        let Self { registry, gauges, .. } = self;
        registry.register("requests", "Requests taken, by what they ask", self.requests.clone());
        registry.register("rejections", "Requests not done, by reason", self.rejections.clone());
        registry.register("refusals", "Bodies refused as a whole, by reason", self.refusals.clone());
        registry.register("batch_requests", "Requests in one batch", self.batch_requests.clone());
        let seconds = || Unit::Seconds;
        let from = "From the arrival of a batch to its replies";
        registry.register_with_unit("batch_duration", from, seconds(), self.batch_seconds.clone());
        registry.register("commit_registers", "Registers in one commit", self.commit_registers.clone());
        registry.register_with_unit("commit", "Bytes committed", Unit::Bytes, self.commit_bytes.clone());
        let from = "From the start of a commit to the end of its sync";
        registry.register_with_unit("commit_duration", from, seconds(), self.commit_seconds.clone());
        registry.register("scan_entries", "Registers told by scans", self.scan_entries.clone());
        registry.register("scan_rows", "Rows read by scans, tombstones included", self.scan_rows.clone());
        registry.register_with_unit(
            "scan_duration",
            "Duration of a scan",
            seconds(),
            self.scan_seconds.clone(),
        );
        registry.register(
            "read_errors",
            "Registers that could not be read from disk",
            self.read_errors.clone(),
        );
        let reads = "Requests whose register was looked up in the store";
        registry.register("register_reads", reads, self.register_reads.clone());
        let kept = "Registers kept beside the store";
        registry.register_with_unit("register_cache", kept, Unit::Bytes, self.register_cache_bytes.clone());
        let dropped = "Entries dropped because the replication log was at its limit";
        registry.register("log_dropped_entries", dropped, self.log_dropped_entries.clone());
        let reclaims = "Pieces of work that gave the room of dead values back";
        registry.register("reclaims", reclaims, self.reclaims.clone());
        registry.register("connections", "Connections open", self.connections.clone());
        let refused = "Connections closed at once because there were too many";
        registry.register("connections_refused", refused, self.connections_refused.clone());
        gauges.register(registry);
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        let mut bytes = |name: &str, help: &str, gauge: &Gauge| {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        };
        bytes("in_flight", "Memory granted to requests and replies under way", &self.in_flight_bytes);
        bytes("disk_free", "Free space on the data directory's file system", &self.disk_free_bytes);
        bytes(
            "disk_reserve",
            "Free space below which writes that grow are refused",
            &self.disk_reserve_bytes,
        );
        bytes("log", "Replication log, before compression", &self.log_bytes);
        bytes("store_unapplied", "Durable writes that wait for the database", &self.unapplied_bytes);
        bytes("store_memtable", "Recent writes in the database's memory", &self.memtable_bytes);
        bytes("store_table", "Sorted files in use", &self.table_bytes);
        bytes("store_blob", "Blob files in use", &self.blob_bytes);
        bytes("store_blob_garbage", "Dead values in blob files", &self.blob_garbage_bytes);
        bytes("store_dead_values", "Long values replaced or deleted, not merged yet", &self.dead_value_bytes);
        let dead = "Short values replaced or deleted, not merged yet";
        bytes("store_dead_registers", dead, &self.dead_register_bytes);
        bytes("store_block_cache", "Block cache in use", &self.block_cache_bytes);
        bytes(
            "store_compaction_pending",
            "Bytes that compaction has yet to rewrite",
            &self.compaction_pending_bytes,
        );
        registry.register("ready", "1 if the node votes, else 0", self.ready.clone());
        let low = "1 if writes that grow are refused because the disk is below its reserve, else 0";
        registry.register("disk_low", low, self.disk_low.clone());
        registry.register("epoch", "Version of the adopted configuration, 0 before", self.epoch.clone());
        registry.register("log_entries", "Entries in the replication log", self.log_entries.clone());
        registry.register("log_next_seq", "Number of the next log entry", self.log_next_seq.clone());
        registry.register(
            "store_registers",
            "Registers held, tombstones included (estimate)",
            self.registers.clone(),
        );
        let failed = "Flushes and compactions that failed since the start";
        registry.register("store_background_errors", failed, self.background_errors.clone());
    }

    fn set(&self, observed: &Observed) {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.ready, observed.ready.into());
        set(&self.epoch, observed.epoch);
        set(&self.in_flight_bytes, observed.in_flight_bytes as u64);
        set(&self.disk_free_bytes, observed.disk_free_bytes);
        set(&self.disk_reserve_bytes, observed.disk_reserve_bytes);
        set(&self.disk_low, observed.disk_low.into());
        set(&self.log_bytes, observed.log.bytes());
        set(&self.log_entries, observed.log.entries());
        set(&self.log_next_seq, observed.log.next_seq);
        set(&self.unapplied_bytes, observed.store.unapplied_bytes);
        set(&self.memtable_bytes, observed.store.memtable_bytes);
        set(&self.table_bytes, observed.store.table_bytes);
        let occupancy = &observed.store.occupancy;
        set(&self.blob_bytes, occupancy.blob_bytes);
        set(&self.blob_garbage_bytes, occupancy.blob_garbage_bytes);
        set(&self.dead_value_bytes, occupancy.dead_value_bytes);
        set(&self.dead_register_bytes, occupancy.dead_register_bytes);
        set(&self.block_cache_bytes, observed.store.block_cache_bytes);
        set(&self.compaction_pending_bytes, observed.store.compaction_pending_bytes);
        set(&self.registers, observed.store.registers_estimate);
        set(&self.background_errors, observed.store.background_errors);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names in the first column of the tables under "Storage node".
    fn documented() -> BTreeSet<String> {
        let text = include_str!("../../docs/metrics.md");
        let sections: String = text
            .split("\n## ")
            .filter(|section| section.starts_with("Storage node") || section.starts_with("Every process"))
            .collect();
        let names = sections
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next().map(str::to_owned));
        names.map(|name| name.replace("<service>", "node")).collect()
    }

    #[test]
    fn metrics_are_exactly_those_in_the_documentation() {
        let metrics = Metrics::new();
        let registered = telemetry::metric_names(&metrics.registry).unwrap();
        let documented = documented();
        let missing: Vec<_> = registered.difference(&documented).collect();
        let stale: Vec<_> = documented.difference(&registered).collect();
        assert!(
            missing.is_empty() && stale.is_empty(),
            "not documented: {missing:?}; documented only: {stale:?}"
        );
    }
}
