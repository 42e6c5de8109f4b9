//! Whether the shards' replicas may vote yet.

use std::sync::{Mutex, PoisonError};

use roundtable_consensus::Readiness;

/// What each shard last said about its readiness.
#[derive(Debug)]
pub struct Voting(Mutex<Vec<Option<Readiness>>>);

impl Voting {
    pub(crate) fn new(shards: u16) -> Self {
        Self(Mutex::new(vec![None; usize::from(shards)]))
    }

    pub(crate) fn report(&self, shard: u16, readiness: Readiness) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = reports.get_mut(usize::from(shard)) {
            *report = Some(readiness);
        }
    }

    /// Why the node may not vote, in words; `None` when it may.
    #[must_use]
    pub fn obstacle(&self, now_ms: u64) -> Option<String> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.iter().find_map(|report| match report {
            None => Some("the shards are starting".to_owned()),
            Some(Readiness::Ready) => None,
            Some(Readiness::Waits { until_ms }) => Some(format!(
                "promises made before the restart may reach {} ms ahead of now; the node votes when its clock has passed them",
                until_ms.saturating_sub(now_ms)
            )),
            Some(Readiness::ClockBehind { horizon_ms }) => Some(format!(
                "the node's clock says {now_ms} (unix ms), but before the restart it promised up to {horizon_ms}: \
                 the clock is behind by at least {} s; set it right",
                horizon_ms.saturating_sub(now_ms) / 1000
            )),
        })
    }
}
