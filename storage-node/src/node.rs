//! One running node: its parts, and whether it may answer.

use std::sync::Arc;

use roundtable_common::serve::{Stage, Stop};
use roundtable_common::view::View;
use roundtable_common::wire::{Refused, Target};
use roundtable_consensus::{NodeId, Status};
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::clock::unix_ms;
use crate::config::{Config, ServerConfig};
use crate::disk_watch::DiskWatch;
use crate::fault::FaultWatch;
use crate::membership::Membership;
use crate::metrics::{Metrics, Observed};
use crate::pipeline::Pipeline;
use crate::store::Store;

/// The parts of a running node, shared by all connections.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) store: Arc<Store>,
    pub(crate) pipeline: Pipeline,
    pub(crate) membership: Membership,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) budget: Budget,
    pub(crate) disk: Arc<DiskWatch>,
    pub(crate) scans: Semaphore,
    pub(crate) limits: ServerConfig,
    pub(crate) fault: FaultWatch,
    /// How far the node is from its end.
    pub(crate) stop: Stop,
}

/// The parts that a [`Node`] is made of.
pub(crate) struct Parts {
    pub(crate) id: NodeId,
    pub(crate) store: Arc<Store>,
    pub(crate) pipeline: Pipeline,
    pub(crate) membership: Membership,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) budget: Budget,
    pub(crate) disk: Arc<DiskWatch>,
    pub(crate) fault: FaultWatch,
}

/// Why a node does not vote now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It has adopted no configuration.
    NotAdopted(String),
    /// It has, but waits for its clock, or stops.
    NotReady(String),
}

impl Obstacle {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::NotAdopted(reason) | Self::NotReady(reason) => reason,
        }
    }
}

impl From<Obstacle> for Refused {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::NotAdopted(reason) => Self::NotAdopted { reason },
            Obstacle::NotReady(reason) => Self::NotReady { reason },
        }
    }
}

impl Node {
    pub(crate) fn new(parts: Parts, config: &Config) -> Self {
        let Parts { id, store, pipeline, membership, metrics, budget, disk, fault } = parts;
        let scans = Semaphore::new(config.server.scans_max);
        let limits = config.server;
        Self {
            id,
            store,
            pipeline,
            membership,
            metrics,
            budget,
            disk,
            scans,
            limits,
            fault,
            stop: Stop::new(),
        }
    }

    /// Why the node does not vote; `None` when it does.
    pub(crate) fn obstacle(&self) -> Option<Obstacle> {
        if self.stop.stage() == Stage::Stopping {
            return Some(Obstacle::NotReady("the node is stopping".to_owned()));
        }
        if let Some(reason) = self.fault.reason() {
            return Some(Obstacle::NotReady(reason.as_ref().to_owned()));
        }
        match self.membership.view() {
            None => Some(Obstacle::NotAdopted(self.membership.status().to_string())),
            Some(_) => self.pipeline.voting().obstacle(unix_ms()).map(Obstacle::NotReady),
        }
    }

    /// Checks whom a body means, and whether this node may answer it.
    pub(crate) fn admit(&self, target: &Target) -> Result<&Arc<View>, Refused> {
        let obstacle = self.obstacle();
        match (self.membership.view(), obstacle) {
            (Some(view), obstacle) => {
                target.check(view.target())?;
                obstacle.map_or(Ok(view), |obstacle| Err(obstacle.into()))
            }
            (None, obstacle) => {
                // Without a configuration there is no cluster or epoch to compare, but a name and a disk.
                let mine = self.sender();
                if target.node != mine.node {
                    return Err(Refused::WrongNode { mine: mine.node });
                }
                if matches!(self.membership.status(), Status::Refused(_)) && target.storage != mine.storage {
                    return Err(Refused::WrongStorage { mine: mine.storage });
                }
                let reason = obstacle.map_or_else(String::new, |obstacle| obstacle.reason().to_owned());
                Err(Refused::NotAdopted { reason })
            }
        }
    }

    /// Who this node is, for its answers.
    pub(crate) fn sender(&self) -> Target {
        match self.membership.view() {
            Some(view) => view.target().clone(),
            None => Target::unbound(self.id.clone(), self.store.storage()),
        }
    }

    /// The text of the metrics page.
    pub(crate) fn metrics_page(&self) -> Result<String, std::fmt::Error> {
        let epoch = self.membership.view().map_or(0, |view| view.target().epoch.0);
        self.metrics.encode(&Observed {
            ready: self.obstacle().is_none(),
            epoch,
            in_flight_bytes: self.budget.used_bytes(),
            disk_free_bytes: self.disk.free_bytes(),
            disk_reserve_bytes: self.disk.free_bytes_min(),
            disk_low: self.disk.shortage().is_some(),
            log: self.store.log_bounds(),
            store: self.store.stats(),
        })
    }
}
