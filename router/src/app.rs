//! What every request needs: limits, figures, and the cluster as far as it is known.

use std::sync::Arc;
use std::time::Duration;

use roundtable_common::serve::Stop;
use roundtable_common::units::ByteSize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::http::{Code, Problem};
use crate::metrics::{Metrics, NodeFigures};
use crate::topology::{Cluster, Phase};

/// Memory of values is counted in steps of this many bytes.
const BODY_STEP_BYTES: usize = 1024;
/// Memory that listings may take while they are put together.
const LISTING_MEMORY_BYTES: usize = 128 << 20;

/// The router's state beside its coordinators.
pub struct App {
    config: Arc<Config>,
    clock: Clock,
    metrics: Arc<Metrics>,
    phase: watch::Receiver<Phase>,
    stop: Stop,
    requests: Arc<Semaphore>,
    body_memory: Arc<Semaphore>,
    listing_memory: Arc<Semaphore>,
}

impl App {
    /// A router that serves as far as `phase` says.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        metrics: Arc<Metrics>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let steps = (config.limits.body_memory_max / BODY_STEP_BYTES).min(Semaphore::MAX_PERMITS);
        let requests = config.limits.requests_max.min(Semaphore::MAX_PERMITS);
        Self {
            config,
            clock,
            metrics,
            phase,
            stop: Stop::new(),
            requests: Arc::new(Semaphore::new(requests)),
            body_memory: Arc::new(Semaphore::new(steps)),
            listing_memory: Arc::new(Semaphore::new(LISTING_MEMORY_BYTES / BODY_STEP_BYTES)),
        }
    }

    /// What clients are allowed.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// The process's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The process's figures.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// How far the router is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// How far the process is from its end.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The cluster, for a request that needs one.
    ///
    /// # Errors
    /// `no_quorum` while it is not known, with the reason.
    pub fn cluster(&self) -> Result<Arc<Cluster>, Problem> {
        match &*self.phase.borrow() {
            Phase::Serving(cluster) => Ok(Arc::clone(cluster)),
            Phase::Seeking { reason, .. } => Err(Problem::new(
                Code::NoQuorum,
                format!("the router does not know its cluster yet: {reason}"),
            )),
        }
    }

    /// A place among the requests in progress; it is given back when dropped. A router that stops still takes what
    /// arrives whole on connections that were open before: their clients could not know.
    ///
    /// # Errors
    /// `too_many_requests`.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| {
            let detail =
                format!("{} requests are in progress, as many as are taken", self.limits().requests_max);
            Problem::new(Code::TooManyRequests, detail)
        })
    }

    /// Memory for a value of `bytes`; it is given back when dropped.
    ///
    /// # Errors
    /// `overloaded` when there is none left.
    pub fn reserve_body(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let steps = u32::try_from(bytes.div_ceil(BODY_STEP_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.body_memory).try_acquire_many_owned(steps).map_err(|_| {
            let limit = ByteSize::new(self.limits().body_memory_max as u64);
            Problem::new(Code::Overloaded, format!("values in progress take {limit}, as much as is taken"))
        })
    }

    /// Memory for a part of a listing that may take up to `bytes` while it is put together. Waits for its turn, in the
    /// order of asking.
    ///
    /// # Errors
    /// `overloaded` when there is none by `deadline_us`.
    pub async fn reserve_listing(
        &self,
        bytes: usize,
        deadline_us: u64,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let steps = bytes.min(LISTING_MEMORY_BYTES) / BODY_STEP_BYTES;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX).max(1);
        let left = Duration::from_micros(deadline_us.saturating_sub(self.clock.mono_us()));
        let turn = Arc::clone(&self.listing_memory).acquire_many_owned(steps);
        match timeout(left, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Problem::new(
                Code::Overloaded,
                "other listings took all the memory that listings may take; smaller pages, or fewer at once, fit",
            )),
        }
    }

    /// Makes `held` the memory for a value of `bytes` if it is for less.
    ///
    /// # Errors
    /// `overloaded` when there is none left. It never waits: values that have arrived in part would wait for each other.
    pub fn grow_body(&self, held: &mut OwnedSemaphorePermit, bytes: usize) -> Result<(), Problem> {
        let held_bytes = held.num_permits().saturating_mul(BODY_STEP_BYTES);
        if bytes > held_bytes {
            held.merge(self.reserve_body(bytes - held_bytes)?);
        }
        Ok(())
    }

    /// All figures as text.
    ///
    /// # Errors
    /// When a collector can't write its metrics.
    pub fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        if let Phase::Serving(cluster) = self.phase() {
            let engine = cluster.engine();
            let (stats, in_flight) = engine.stats();
            self.metrics.set_coordinators(&stats, in_flight, engine.clock_offset_ms());
            for link in engine.links() {
                let status = link.status();
                self.metrics.set_node(&NodeFigures {
                    node: link.target.node.clone(),
                    usable: link.is_usable(),
                    queued: link.queued(),
                    clock_offset_ms: status.clock_offset_ms,
                    disk_low: status.shortage.is_some(),
                });
            }
        }
        self.metrics.encode()
    }
}
