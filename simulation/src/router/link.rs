//! One node as a router keeps it: whom requests name, what waits for it, and how it stands.

use roundtable_common::wire::{Target, request_size_hint};
use roundtable_consensus::{Health, HealthConfig, Lane, Outbox, OutboxLimits, Request, Rng};

const HEALTH: HealthConfig = HealthConfig {
    suspect_after_us: 100_000,
    suspect_after_us_max: 400_000,
    probe_interval_us: 1_000_000,
    probe_backoff_us_min: 20_000,
    probe_backoff_us_max: 250_000,
};

/// Small, so that batches are shared and queues run full.
const OUTBOX: OutboxLimits = OutboxLimits {
    depth: 2,
    queue_items_max: 6,
    queue_bytes_max: 64 * 1024,
    batch_items_max: 4,
    batch_bytes_max: 16 * 1024,
};

/// A request on its way to a node, and the coordinator that sent it.
#[derive(Debug)]
pub(super) struct LinkItem {
    pub(super) shard: usize,
    pub(super) request: Request,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) health: Health,
    quick: Outbox<LinkItem>,
    durable: Outbox<LinkItem>,
}

impl Link {
    pub(super) fn new(target: Target, rng: &mut Rng) -> Self {
        let health = Health::new(HEALTH, rng.next_u64());
        Self { target, health, quick: Outbox::new(OUTBOX), durable: Outbox::new(OUTBOX) }
    }

    /// Lets a request wait for the next batch of its lane. Returns whether there was room.
    pub(super) fn push(&mut self, item: LinkItem) -> bool {
        let lane = if item.request.body.is_durable() { Lane::Durable } else { Lane::Quick };
        let bytes = request_size_hint(&item.request);
        self.outbox(lane).push(item, bytes).is_ok()
    }

    pub(super) fn outbox(&mut self, lane: Lane) -> &mut Outbox<LinkItem> {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Durable => &mut self.durable,
        }
    }

    /// Takes back all that waits in both lanes.
    pub(super) fn drain(&mut self) -> Vec<LinkItem> {
        let mut items = self.quick.drain();
        items.extend(self.durable.drain());
        items
    }

    /// What waits, and what is on its way.
    pub(super) fn left(&self) -> usize {
        [&self.quick, &self.durable].iter().map(|outbox| outbox.queued() + outbox.in_flight()).sum()
    }
}
