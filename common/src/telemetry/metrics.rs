//! The registry of metrics and its text form.

use std::collections::BTreeSet;
use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::process::ProcessCollector;

/// The media type of [`encode`]'s text, which Prometheus and its relatives read.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whose metrics they are: the second word of every metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A storage node.
    Node,
    /// A router.
    Router,
}

/// A registry whose metrics are named `roundtable_<service>_…`, with the process's own metrics in it: CPU time,
/// memory, open files.
#[must_use]
pub fn registry(service: Service) -> Registry {
    let prefix = match service {
        Service::Node => "roundtable_node",
        Service::Router => "roundtable_router",
    };
    let mut registry = Registry::with_prefix(prefix);
    registry.register_collector(Box::new(ProcessCollector));
    registry
}

/// All metrics as text, for `GET /metrics`.
///
/// # Errors
/// When a collector can't write its metrics.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(16 << 10);
    text::encode(&mut out, registry)?;
    Ok(out)
}

/// The full names of all metrics that [`encode`] tells now, to be compared with their documentation. A family
/// without any label set yet isn't told.
///
/// # Errors
/// When a collector can't write its metrics.
pub fn metric_names(registry: &Registry) -> Result<BTreeSet<String>, fmt::Error> {
    let text = encode(registry)?;
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    Ok(typed
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.into() })
        .collect())
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn metrics_are_named_after_their_service() {
        let mut registry = registry(Service::Router);
        registry.register("requests", "Requests taken", Counter::<u64>::default());
        let names = metric_names(&registry).unwrap();
        assert!(names.contains("roundtable_router_requests_total"), "{names:?}");
        assert!(names.contains("roundtable_router_process_cpu_seconds_total"), "{names:?}");
        assert!(names.contains("roundtable_router_process_resident_memory_bytes"), "{names:?}");
        assert!(names.contains("roundtable_router_process_open_files"), "{names:?}");
        assert!(encode(&registry).unwrap().ends_with("# EOF\n"));
    }
}
