//! One life of a node's process: from bodies to shards and the disk, and back.

use std::collections::BTreeMap;

use bytes::Bytes;
use roundtable_common::view::View;
use roundtable_common::wire::{Refused, Target, decode_scan, encode_hello, encode_page, encode_refusal};
use roundtable_consensus::{
    Ballot, Bootstrap, BootstrapEffect, Conditions, Configuration, DiskSpace, Hello, NodeId, Readiness, Rng,
    Status, StorageId, Ticket, Write,
};

use super::NodeOutput;
use super::batches::Batch;
use super::shard::Shard;
use crate::cluster::place_of;
use crate::disk::{Disk, Entry};
use crate::exchange::{Exchange, Path};
use crate::listing::page;
use crate::report::Mishap;
use crate::variant::Variant;

/// Shards of a node.
const SHARDS: usize = 2;

/// What holds around a process at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) now_ms: u64,
    pub(super) space: DiskSpace,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) variant: Variant,
    name: NodeId,
    storage: StorageId,
    file: Configuration,
    membership: Bootstrap,
    /// The view of an earlier life: where partitions lie takes long to find out.
    known_view: Option<View>,
    view: Option<View>,
    /// Questions to other nodes without an answer yet.
    asked: BTreeMap<u64, NodeId>,
    next_question: u64,
    pub(super) shards: Vec<Shard>,
    pub(super) hash_seed: u64,
    pub(super) batches: BTreeMap<u64, Batch>,
    pub(super) next_batch: u64,
    queue: Vec<Entry>,
    syncing: Vec<Entry>,
}

impl Process {
    pub(super) fn new(
        variant: Variant,
        name: &NodeId,
        file: &Configuration,
        disk: &Disk,
        known_view: Option<View>,
        rng: &mut Rng,
    ) -> Self {
        let horizon = if variant == Variant::NoHorizon { Ballot::ZERO } else { disk.horizon() };
        let membership = Bootstrap::new(name.clone(), disk.storage, file.clone(), disk.membership.clone());
        let mut process = Self {
            variant,
            name: name.clone(),
            storage: disk.storage,
            file: file.clone(),
            membership,
            known_view,
            view: None,
            asked: BTreeMap::new(),
            next_question: 0,
            shards: (0..SHARDS).map(|_| Shard::new(horizon)).collect(),
            hash_seed: rng.next_u64(),
            batches: BTreeMap::new(),
            next_batch: 0,
            queue: Vec::new(),
            syncing: Vec::new(),
        };
        process.adopt_if_chosen();
        process
    }

    /// The view that it has now, for its next life.
    pub(super) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// What is on its way to the disk.
    pub(super) fn syncing(&self) -> &[Entry] {
        &self.syncing
    }

    /// The exchanges that wait for an answer.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = Exchange> {
        self.batches.values().map(|batch| batch.exchange)
    }

    pub(super) fn receive(
        &mut self,
        around: &Surroundings,
        disk: &Disk,
        exchange: Exchange,
        body: Bytes,
        rng: &mut Rng,
        out: &mut NodeOutput,
    ) {
        let refused = match exchange.path {
            Path::Hello => {
                let obstacle = self.obstacle(around.now_ms);
                let reason = obstacle.as_ref().map_or(String::new(), ToString::to_string);
                let hello = self.membership.hello(around.now_ms, obstacle.is_none(), reason);
                out.answers.push((exchange, encode_hello(&hello)));
                return;
            }
            Path::Batch => self.take_batch(around, exchange, body, rng, out),
            Path::Scan => self.take_scan(around, disk, exchange, body, out),
        };
        if let Err(refused) = refused {
            if matches!(refused, Refused::Malformed { .. }) {
                out.mishaps.push(Mishap::BodyRefused);
            }
            let body = encode_refusal(&self.sender(), around.now_ms, &refused);
            out.answers.push((exchange, body));
        }
    }

    fn take_scan(
        &mut self,
        around: &Surroundings,
        disk: &Disk,
        exchange: Exchange,
        body: Bytes,
        out: &mut NodeOutput,
    ) -> Result<(), Refused> {
        let decoded = decode_scan(body).map_err(|error| Refused::Malformed { detail: error.to_string() });
        let (target, scan) = decoded?;
        let view = self.admit(around, &target)?;
        view.check_scan(&scan)?;
        let page = page(disk, &scan, |key| view.partition_of(key));
        out.answers.push((exchange, encode_page(&self.sender(), around.now_ms, &page)));
        Ok(())
    }

    pub(super) fn work(&mut self, around: &Surroundings, disk: &Disk, out: &mut NodeOutput) {
        let conditions =
            Conditions { now_ms: around.now_ms, disk: around.space, purge_floor: Ballot::ZERO, done: true };
        let mut released = Vec::new();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            let mut writes = Vec::new();
            released.extend(shard.work(&conditions, disk, self.hash_seed, self.variant, &mut writes));
            queue(&mut self.queue, number, writes);
        }
        self.release(released, around.now_ms, out);
        self.start_sync(out);
    }

    pub(super) fn tick(&mut self, around: &Surroundings, out: &mut NodeOutput) {
        for (number, shard) in self.shards.iter_mut().enumerate() {
            let mut writes = Vec::new();
            shard.tick(around.now_ms, &mut writes);
            queue(&mut self.queue, number, writes);
        }
        if self.view.is_none() {
            let mut effects = Vec::new();
            self.membership.tick(&mut effects);
            self.carry_out(effects, out);
        }
        self.start_sync(out);
    }

    pub(super) fn on_hello(&mut self, question: u64, answer: Result<Hello, String>, out: &mut NodeOutput) {
        let Some(from) = self.asked.remove(&question) else { return };
        let mut effects = Vec::new();
        match answer {
            Ok(hello) => self.membership.on_hello(&from, hello, &mut effects),
            Err(detail) => self.membership.on_unreachable(&from, detail),
        }
        self.carry_out(effects, out);
        self.start_sync(out);
    }

    /// The sync under way is done: what waited for it may leave, and the next one begins.
    pub(super) fn synced(&mut self, around: &Surroundings, disk: &mut Disk, out: &mut NodeOutput) {
        let group = std::mem::take(&mut self.syncing);
        disk.apply(&group);
        let mut released = Vec::new();
        let mut effects = Vec::new();
        for entry in group {
            match entry {
                Entry::Shard(number, ticket, _) => {
                    if let Some(shard) = self.shards.get_mut(number) {
                        released.extend(shard.committed(ticket));
                    }
                }
                Entry::Bound(_) | Entry::Adopted(_) => self.membership.synced(&mut effects),
            }
        }
        self.adopt_if_chosen();
        self.carry_out(effects, out);
        self.release(released, around.now_ms, out);
        self.start_sync(out);
    }

    pub(super) fn leftovers(&mut self, keys: usize) -> Vec<(&'static str, usize)> {
        let mut left = vec![
            ("writes not synced", self.queue.len() + self.syncing.len()),
            ("batches not answered", self.batches.len()),
        ];
        left.extend(self.shards.iter_mut().flat_map(|shard| shard.leftovers(keys)));
        left
    }

    fn carry_out(&mut self, effects: Vec<BootstrapEffect>, out: &mut NodeOutput) {
        for effect in effects {
            match effect {
                BootstrapEffect::Ask { node, .. } => {
                    self.next_question += 1;
                    out.asks.push((self.next_question, place_of(&self.file, &node)));
                    self.asked.insert(self.next_question, node);
                }
                BootstrapEffect::Bind(first) => self.queue.push(Entry::Bound(first)),
                BootstrapEffect::Adopt(first) => self.queue.push(Entry::Adopted(first)),
            }
        }
    }

    fn adopt_if_chosen(&mut self) {
        let Some(adopted) = self.membership.adopted().filter(|_| self.view.is_none()) else { return };
        let known = self.known_view.take().filter(|view| {
            let target = view.target();
            (target.cluster, target.storage) == (adopted.cluster, self.storage)
        });
        self.view = Some(known.unwrap_or_else(|| View::new(&self.name, adopted)));
    }

    fn start_sync(&mut self, out: &mut NodeOutput) {
        if self.syncing.is_empty() && !self.queue.is_empty() {
            self.syncing = std::mem::take(&mut self.queue);
            out.sync = true;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.batches.is_empty() && self.queue.is_empty() && self.syncing.is_empty()
    }

    /// Why the node does not vote; nothing when it does.
    fn obstacle(&self, now_ms: u64) -> Option<Refused> {
        if self.view.is_none() {
            return Some(Refused::NotAdopted { reason: self.membership.status().to_string() });
        }
        let unready =
            |shard: &Shard| Some(shard.readiness(now_ms)).filter(|ready| *ready != Readiness::Ready);
        let readiness = self.shards.iter().find_map(unready)?;
        Some(Refused::NotReady { reason: format!("{readiness:?}") })
    }

    /// Checks whom a body means, and whether this node may answer it.
    pub(super) fn admit(&self, around: &Surroundings, target: &Target) -> Result<&View, Refused> {
        let obstacle = self.obstacle(around.now_ms);
        let Some(view) = &self.view else {
            let mine = self.sender();
            if target.node != mine.node {
                return Err(Refused::WrongNode { mine: mine.node });
            }
            if matches!(self.membership.status(), Status::Refused(_)) && target.storage != mine.storage {
                return Err(Refused::WrongStorage { mine: mine.storage });
            }
            return Err(obstacle.unwrap_or(Refused::NotAdopted { reason: String::new() }));
        };
        target.check(view.target())?;
        obstacle.map_or(Ok(view), Err)
    }

    pub(super) fn sender(&self) -> Target {
        match &self.view {
            Some(view) => view.target().clone(),
            None => Target::unbound(self.name.clone(), self.storage),
        }
    }
}

fn queue(queue: &mut Vec<Entry>, shard: usize, writes: Vec<(Ticket, Write)>) {
    queue.extend(writes.into_iter().map(|(ticket, write)| Entry::Shard(shard, ticket, write)));
}
