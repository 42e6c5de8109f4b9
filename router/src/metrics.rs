//! What `/metrics` tells; `docs/metrics.md` describes each.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use roundtable_common::telemetry::{Service, encode, registry};
use roundtable_consensus::{CoordinatorStats, Lane, NodeId};

use crate::http::EndpointName;

/// Labels of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    status: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    node: String,
}

/// One node's figures at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct NodeFigures {
    /// Its name.
    pub node: NodeId,
    /// Whether requests go there.
    pub usable: bool,
    /// Requests waiting for it.
    pub queued: usize,
    /// Its clock minus the router's, in milliseconds.
    pub clock_offset_ms: i64,
    /// It refuses writes that grow because its disk is below its reserve.
    pub disk_low: bool,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    /// Requests in progress.
    pub requests_in_progress: Gauge,
    /// Connections of clients.
    pub connections: Gauge,
    /// Connections that were refused because there were too many.
    pub connections_refused: Counter,
    coordinator_requests: Gauge,
    rounds: Counter,
    rounds_outbid: Counter,
    rounds_failed: Counter,
    operations_combined: Counter,
    one_trip_answers: Counter,
    one_trip_rounds: Counter,
    read_fallbacks: Counter,
    hedges: Counter,
    clock_pull_backs: Counter,
    clock_offset: Gauge<f64, std::sync::atomic::AtomicU64>,
    batch_requests: Family<LaneLabels, Histogram, fn() -> Histogram>,
    batch_duration: Family<LaneLabels, Histogram, fn() -> Histogram>,
    requests_lost: Family<NodeLabels, Counter>,
    /// Requests to nodes that found a full queue.
    pub outbox_overflows: Counter,
    node_usable: Family<NodeLabels, Gauge>,
    node_queued: Family<NodeLabels, Gauge>,
    node_disk_low: Family<NodeLabels, Gauge>,
    node_clock_offset: Family<NodeLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

/// 100 µs to about 26 s.
fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

fn size_histogram() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 12))
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: registry(Service::Router),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(duration_histogram),
            requests_in_progress: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            coordinator_requests: Gauge::default(),
            rounds: Counter::default(),
            rounds_outbid: Counter::default(),
            rounds_failed: Counter::default(),
            operations_combined: Counter::default(),
            one_trip_answers: Counter::default(),
            one_trip_rounds: Counter::default(),
            read_fallbacks: Counter::default(),
            hedges: Counter::default(),
            clock_pull_backs: Counter::default(),
            clock_offset: Gauge::default(),
            batch_requests: Family::new_with_constructor(size_histogram),
            batch_duration: Family::new_with_constructor(duration_histogram),
            requests_lost: Family::default(),
            outbox_overflows: Counter::default(),
            node_usable: Family::default(),
            node_queued: Family::default(),
            node_disk_low: Family::default(),
            node_clock_offset: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests answered", self.requests.clone());
        r.register_with_unit(
            "request_duration",
            "Time from a request's headers to its answer",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        r.register("requests_in_progress", "Requests in progress", self.requests_in_progress.clone());
        r.register("connections", "Connections of clients", self.connections.clone());
        r.register(
            "connections_refused",
            "Connections refused because there were too many",
            self.connections_refused.clone(),
        );
        r.register(
            "coordinator_requests",
            "Operations without an answer yet, those included whose client has left",
            self.coordinator_requests.clone(),
        );
        r.register("rounds", "Rounds started", self.rounds.clone());
        r.register("rounds_outbid", "Rounds that met a higher ballot", self.rounds_outbid.clone());
        r.register("rounds_failed", "Rounds without a majority", self.rounds_failed.clone());
        r.register(
            "operations_combined",
            "Operations that shared a round with another",
            self.operations_combined.clone(),
        );
        r.register(
            "one_trip_answers",
            "Reads and refusals answered in one round trip",
            self.one_trip_answers.clone(),
        );
        r.register("one_trip_rounds", "Rounds that started at their Accept", self.one_trip_rounds.clone());
        r.register("read_fallbacks", "Reads that needed a round", self.read_fallbacks.clone());
        r.register("hedges", "Times a further replica was asked because one was slow", self.hedges.clone());
        r.register(
            "clock_pull_backs",
            "Times the clock was pulled back because a majority refused it",
            self.clock_pull_backs.clone(),
        );
        r.register_with_unit(
            "clock_offset",
            "Correction of the router's clock",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
        r.register("batch_requests", "Requests in a batch to a node", self.batch_requests.clone());
        r.register_with_unit(
            "batch_duration",
            "Time from sending a batch to its answer",
            Unit::Seconds,
            self.batch_duration.clone(),
        );
        r.register("node_requests_lost", "Requests to a node without an answer", self.requests_lost.clone());
        r.register(
            "outbox_overflows",
            "Requests to nodes that found a full queue",
            self.outbox_overflows.clone(),
        );
        r.register("node_usable", "1 if requests go to the node, else 0", self.node_usable.clone());
        r.register("node_queued_requests", "Requests waiting for the node", self.node_queued.clone());
        let low = "1 if the node refuses writes that grow because its disk is below its reserve, else 0";
        r.register("node_disk_low", low, self.node_disk_low.clone());
        r.register_with_unit(
            "node_clock_offset",
            "The node's clock minus the router's",
            Unit::Seconds,
            self.node_clock_offset.clone(),
        );
    }

    /// Counts an answered request.
    pub fn observe_request(&self, endpoint: EndpointName, status: u16, took: Duration) {
        let endpoint = endpoint.as_str();
        self.requests.get_or_create(&RequestLabels { endpoint, status: status.into() }).inc();
        self.request_duration.get_or_create(&EndpointLabels { endpoint }).observe(took.as_secs_f64());
    }

    /// Counts a batch that came back or was lost.
    pub fn observe_batch(&self, lane: Lane, requests: usize, took_us: u64) {
        let lane = match lane {
            Lane::Quick => "quick",
            Lane::Durable => "durable",
        };
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.batch_requests.get_or_create(&LaneLabels { lane }).observe(f64::from(requests));
        let took = Duration::from_micros(took_us);
        self.batch_duration.get_or_create(&LaneLabels { lane }).observe(took.as_secs_f64());
    }

    /// Counts requests to a node that were not answered.
    pub fn count_lost(&self, node: &NodeId, requests: usize) {
        self.requests_lost.get_or_create(&NodeLabels { node: node.to_string() }).inc_by(requests as u64);
    }

    /// Takes over what the coordinators count themselves.
    pub fn set_coordinators(&self, stats: &CoordinatorStats, in_flight: usize, clock_offset_ms: i64) {
        use std::sync::atomic::Ordering::Relaxed;
        self.coordinator_requests.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        self.rounds.inner().store(stats.rounds, Relaxed);
        self.rounds_outbid.inner().store(stats.rounds_outbid, Relaxed);
        self.rounds_failed.inner().store(stats.rounds_failed, Relaxed);
        self.operations_combined.inner().store(stats.operations_combined, Relaxed);
        self.one_trip_answers.inner().store(stats.one_trip_answers, Relaxed);
        self.one_trip_rounds.inner().store(stats.one_trip_rounds, Relaxed);
        self.read_fallbacks.inner().store(stats.read_fallbacks, Relaxed);
        self.hedges.inner().store(stats.hedges, Relaxed);
        self.clock_pull_backs.inner().store(stats.clock_pull_backs, Relaxed);
        self.clock_offset.set(seconds(clock_offset_ms));
    }

    /// Takes over how a node stands.
    pub fn set_node(&self, figures: &NodeFigures) {
        let labels = NodeLabels { node: figures.node.to_string() };
        self.node_usable.get_or_create(&labels).set(i64::from(figures.usable));
        self.node_disk_low.get_or_create(&labels).set(i64::from(figures.disk_low));
        self.node_queued.get_or_create(&labels).set(i64::try_from(figures.queued).unwrap_or(i64::MAX));
        self.node_clock_offset.get_or_create(&labels).set(seconds(figures.clock_offset_ms));
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// When a collector can't write its metrics.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        encode(&self.registry)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds of a small number of milliseconds; offsets are far below what a float holds exactly.
fn seconds(ms: i64) -> f64 {
    let magnitude = Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
    if ms < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use roundtable_common::telemetry::metric_names;

    use super::*;

    #[test]
    fn document_names_every_metric() {
        let metrics = Metrics::new();
        metrics.observe_request(EndpointName::Get, 200, Duration::ZERO);
        metrics.observe_batch(Lane::Quick, 1, 1);
        let node: NodeId = "n1".parse().unwrap();
        metrics.count_lost(&node, 1);
        metrics.set_node(&NodeFigures {
            node,
            usable: true,
            queued: 0,
            clock_offset_ms: -1,
            disk_low: false,
        });
        let document = std::fs::read_to_string("../docs/metrics.md").unwrap();
        let named =
            document.split('`').skip(1).step_by(2).map(|code| code.split('{').next().unwrap_or_default());
        let documented: BTreeSet<String> = named
            .map(|name| name.replace("roundtable_<service>_", "roundtable_router_"))
            .filter(|name| name.starts_with("roundtable_router_") && !name.contains('<'))
            .collect();
        assert_eq!(documented, metric_names(&metrics.registry).unwrap());
    }

    #[test]
    fn page_describes_every_metric_once() {
        // A list of registrations once stood there twice, and no test minded.
        let page = Metrics::new().encode().unwrap();
        let described: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let once: BTreeSet<&str> = described.iter().copied().collect();
        assert!(!once.is_empty());
        assert_eq!(described.len(), once.len(), "{page}");
    }

    #[test]
    fn offsets_keep_their_sign() {
        assert!((seconds(-1_500) + 1.5).abs() < f64::EPSILON);
        assert!((seconds(250) - 0.25).abs() < f64::EPSILON);
    }
}
