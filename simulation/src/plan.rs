//! What a run consists of.

use roundtable_consensus::{CoordinatorConfig, HistoryLimits};

use crate::faults::FaultMix;
use crate::variant::Variant;
use crate::workload::WorkloadConfig;

/// What a run consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything left to chance is drawn from it.
    pub seed: u64,
    /// Storage nodes.
    pub nodes: usize,
    /// Copies of each key.
    pub replication_factor: u8,
    /// Routers.
    pub routers: usize,
    /// What clients do.
    pub workload: WorkloadConfig,
    /// The mean time between faults in microseconds; 0 for none.
    pub fault_every_us: u64,
    /// Which faults.
    pub fault_mix: FaultMix,
    /// How far each router's clock is off from the start, in milliseconds; 0 for routers beyond the list.
    pub router_skew_ms: Vec<i64>,
    /// How far each node's clock is off from the start, in milliseconds; 0 for nodes beyond the list.
    pub node_skew_ms: Vec<i64>,
    /// Whether routers have short queues and remember little, instead of as much as the product's.
    pub tight: bool,
    /// What is deliberately wrong.
    pub variant: Variant,
}

impl Plan {
    /// The plan of the checks for a seed: three nodes, or five with five copies or with three.
    #[must_use]
    pub fn standard(seed: u64) -> Self {
        let (nodes, replication_factor) = match seed % 8 {
            3 => (5, 5),
            7 => (5, 3),
            _ => (3, 3),
        };
        Self {
            seed,
            nodes,
            replication_factor,
            routers: if seed.is_multiple_of(2) { 3 } else { 2 },
            workload: WorkloadConfig {
                clients: 6,
                keys: 2,
                calls: 40,
                listing_percent: 5,
                ending_percent: 20,
            },
            fault_every_us: 400_000,
            fault_mix: FaultMix::All,
            router_skew_ms: Vec::new(),
            node_skew_ms: Vec::new(),
            tight: seed % 4 >= 2,
            variant: Variant::Sound,
        }
    }

    /// A plan without faults in which clocks are off and all clients race on one value and one counter.
    #[must_use]
    pub fn skewed(seed: u64, router_skew_ms: Vec<i64>, node_skew_ms: Vec<i64>) -> Self {
        let standard = Self::standard(seed);
        Self {
            nodes: 3,
            replication_factor: 3,
            routers: router_skew_ms.len(),
            workload: WorkloadConfig { keys: 1, calls: 100, listing_percent: 0, ..standard.workload },
            fault_every_us: 0,
            router_skew_ms,
            node_skew_ms,
            tight: false,
            ..standard
        }
    }

    /// The same with right clocks at first, of which the routers' jump by up to 8 s, and drift, three times a second.
    #[must_use]
    pub fn jumpy(seed: u64, routers: usize) -> Self {
        Self {
            fault_every_us: 300_000,
            fault_mix: FaultMix::Clocks,
            ..Self::skewed(seed, vec![0; routers], Vec::new())
        }
    }

    /// A plan in which most values end soon, by clocks that are far apart.
    #[must_use]
    pub fn fleeting(seed: u64) -> Self {
        let standard = Self::standard(seed);
        Self {
            routers: 3,
            workload: WorkloadConfig { ending_percent: 80, ..standard.workload },
            router_skew_ms: vec![3_000, 0, -3_000],
            ..standard
        }
    }

    /// A plan in which nodes restart all the time, in the middle of rounds.
    #[must_use]
    pub fn restless(seed: u64) -> Self {
        Self { fault_every_us: 15_000, fault_mix: FaultMix::Restarts, ..Self::harsh(seed) }
    }

    /// A plan with more of everything that breaks a broken variant: one value and one counter under many hands, and
    /// hardly a moment without a fault.
    #[must_use]
    pub fn harsh(seed: u64) -> Self {
        let standard = Self::standard(seed);
        Self {
            nodes: 3,
            replication_factor: 3,
            routers: 3,
            workload: WorkloadConfig { clients: 8, keys: 1, calls: 30, ..standard.workload },
            fault_every_us: 60_000,
            ..standard
        }
    }

    /// What its routers' coordinators are made with.
    pub(crate) fn coordinator(&self) -> CoordinatorConfig {
        if !self.tight {
            return CoordinatorConfig::default();
        }
        let history = HistoryLimits {
            rounds_max: 4,
            rounds_age_ms_max: 2_000,
            ops_max: 16,
            ops_kept: 4,
            ops_recent_ms: 500,
            ops_age_ms_max: 3_000,
        };
        CoordinatorConfig {
            history,
            operations_max: 4,
            queue_per_key_max: 2,
            slots_per_round_max: 2,
            ..CoordinatorConfig::default()
        }
    }

    /// The plans that every seed is played in, by name.
    #[must_use]
    pub fn all(seed: u64) -> [(&'static str, Self); 4] {
        [
            ("standard", Self::standard(seed)),
            ("harsh", Self::harsh(seed)),
            ("restless", Self::restless(seed)),
            ("fleeting", Self::fleeting(seed)),
        ]
    }
}
