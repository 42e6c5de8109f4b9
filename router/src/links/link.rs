//! One node as the router keeps it: whom requests name, what waits for it, and how it stands.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use roundtable_common::wire::{Target, request_size_hint};
use roundtable_consensus::{DiskShortage, Health, Lane, NodeIndex, Outbox, Request, Standing};
use tokio::sync::Notify;

use crate::config::LinkConfig;
use crate::links::client::NodeClient;

/// A request on its way to a node, and whose it is.
#[derive(Debug)]
pub struct LinkItem {
    /// The coordinator that sent it.
    pub shard: usize,
    /// The request.
    pub request: Request,
}

/// A lane's queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's queue is full")]
pub struct QueueFull;

/// How a node stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// What is known about it.
    pub standing: Standing,
    /// Why it is unusable; empty for a usable node.
    pub detail: String,
    /// Its clock minus this process's, in milliseconds, when it was last asked.
    pub clock_offset_ms: i64,
    /// Its disk is below its reserve: it refuses writes that grow.
    pub shortage: Option<DiskShortage>,
}

/// The link to one node.
pub struct Link {
    /// The process's number for the node.
    pub node: NodeIndex,
    /// Whom requests name.
    pub target: Target,
    /// For probes, scans and single questions.
    pub client: NodeClient,
    /// The settings.
    pub config: LinkConfig,
    quick: LaneQueue,
    durable: LaneQueue,
    health: Mutex<Health>,
    health_changed: Notify,
    clock_offset_ms: AtomicI64,
    shortage: Mutex<Option<DiskShortage>>,
}

struct LaneQueue {
    outbox: Mutex<Outbox<LinkItem>>,
    filled: Notify,
}

impl LaneQueue {
    fn new(config: &LinkConfig) -> Self {
        Self { outbox: Mutex::new(Outbox::new(config.outbox)), filled: Notify::new() }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox<LinkItem>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// A link that nothing has gone over yet; `seed` spreads its probes.
    #[must_use]
    pub fn new(node: NodeIndex, target: Target, client: NodeClient, config: LinkConfig, seed: u64) -> Self {
        Self {
            node,
            target,
            client,
            config,
            quick: LaneQueue::new(&config),
            durable: LaneQueue::new(&config),
            health: Mutex::new(Health::new(config.health, seed)),
            health_changed: Notify::new(),
            clock_offset_ms: AtomicI64::new(0),
            shortage: Mutex::new(None),
        }
    }

    /// Lets a request wait for the next batch of its lane.
    ///
    /// # Errors
    /// When the queue is full: the request is dropped.
    pub fn push(&self, item: LinkItem) -> Result<(), QueueFull> {
        let lane = if item.request.body.is_durable() { Lane::Durable } else { Lane::Quick };
        let bytes = request_size_hint(&item.request);
        let queue = self.queue(lane);
        let ready = {
            let mut outbox = queue.outbox();
            outbox.push(item, bytes).map_err(|_| QueueFull)?;
            outbox.is_ready()
        };
        if ready {
            queue.filled.notify_one();
        }
        Ok(())
    }

    /// The next batch of a lane, if one may leave now.
    #[must_use]
    pub fn take(&self, lane: Lane) -> Option<Vec<LinkItem>> {
        let queue = self.queue(lane);
        let (batch, more) = {
            let mut outbox = queue.outbox();
            (outbox.take(), outbox.is_ready())
        };
        if more {
            queue.filled.notify_one();
        }
        batch
    }

    /// A batch of the lane came back, answered or lost.
    pub fn returned(&self, lane: Lane) {
        self.queue(lane).outbox().returned();
    }

    /// Waits until a batch of the lane may be taken, perhaps in vain.
    ///
    /// # Cancel safety
    /// Cancel safe: a notice that was not received stays.
    pub async fn filled(&self, lane: Lane) {
        self.queue(lane).filled.notified().await;
    }

    /// Takes back all that waits in both lanes.
    #[must_use]
    pub fn drain(&self) -> Vec<LinkItem> {
        let mut items = self.quick.outbox().drain();
        items.extend(self.durable.outbox().drain());
        items
    }

    /// Requests waiting in both lanes.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.quick.outbox().queued() + self.durable.outbox().queued()
    }

    /// Whether requests should go there.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.health().standing().is_usable()
    }

    /// How the node stands.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let health = self.health();
        NodeStatus {
            standing: health.standing(),
            detail: health.detail().to_owned(),
            clock_offset_ms: self.clock_offset_ms.load(Ordering::Relaxed),
            shortage: self.shortage.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Failure detection. After a change that brings a probe forward, call [`Self::wake_monitor`].
    pub fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the monitor look at its timers again.
    pub fn wake_monitor(&self) {
        self.health_changed.notify_one();
    }

    /// Waits for [`Self::wake_monitor`].
    ///
    /// # Cancel safety
    /// Cancel safe: a notice that was not received stays.
    pub async fn monitor_woken(&self) {
        self.health_changed.notified().await;
    }

    /// Notes how far the node's clock is from this process's.
    pub fn note_clock(&self, node_ms: u64, wall_ms: u64) {
        let offset = i128::from(node_ms) - i128::from(wall_ms);
        self.clock_offset_ms.store(i64::try_from(offset).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Notes what the node's disk lacks, if anything, as it said when it was last asked.
    pub fn note_shortage(&self, shortage: Option<DiskShortage>) {
        *self.shortage.lock().unwrap_or_else(PoisonError::into_inner) = shortage;
    }

    fn queue(&self, lane: Lane) -> &LaneQueue {
        match lane {
            Lane::Quick => &self.quick,
            Lane::Durable => &self.durable,
        }
    }
}
