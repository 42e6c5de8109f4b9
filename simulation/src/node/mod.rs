//! A storage node: the replicas and the choice of the first configuration that ship, over a model disk. It takes and
//! gives the bytes that travel, under the checks of the product.

mod batches;
mod process;
mod shard;

use std::collections::VecDeque;

use bytes::Bytes;
use roundtable_common::view::View;
use roundtable_common::wire::decode_hello;
use roundtable_consensus::{Configuration, DiskSpace, Key, NodeId, Register, Rng};

use crate::clock::WallClock;
use crate::disk::Disk;
use crate::exchange::Exchange;
use crate::report::Mishap;
use crate::variant::Variant;
use process::{Process, Surroundings};

/// What a node wants done after an event.
#[derive(Debug, Default)]
pub(crate) struct NodeOutput {
    /// Answers to leave.
    pub(crate) answers: Vec<(Exchange, Bytes)>,
    /// Registers that the answers say were accepted.
    pub(crate) accepted: Vec<(Key, Register)>,
    /// Other nodes to be asked who they are, by place, each with the question's number.
    pub(crate) asks: Vec<(u64, usize)>,
    /// Jobs wait for the shards.
    pub(crate) work: bool,
    /// A sync begins.
    pub(crate) sync: bool,
    pub(crate) mishaps: Vec<Mishap>,
}

#[derive(Debug)]
pub(crate) struct Node {
    variant: Variant,
    name: NodeId,
    file: Configuration,
    /// `None` while the process is down.
    process: Option<Process>,
    pub(crate) disk: Disk,
    /// What the last life knew of where partitions lie.
    known_view: Option<View>,
    /// Counts the lives of the process.
    pub(crate) life: u32,
    pub(crate) frozen: bool,
    pub(crate) clock: WallClock,
    /// The next sync fails.
    pub(crate) sync_fails: bool,
    pub(crate) space: DiskSpace,
    /// What came while the process stood still.
    inbox: VecDeque<(Exchange, Bytes)>,
}

impl Node {
    pub(crate) fn new(variant: Variant, name: NodeId, file: Configuration, rng: &mut Rng) -> Self {
        Self {
            variant,
            name,
            file,
            process: None,
            disk: Disk::new(rng),
            known_view: None,
            life: 0,
            frozen: false,
            clock: WallClock::default(),
            sync_fails: false,
            space: DiskSpace::Enough,
            inbox: VecDeque::new(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it still has the directory with which it joined, so that it may vote.
    pub(crate) fn is_whole(&self) -> bool {
        self.disk.losses == 0
    }

    /// Whether its disk says that it is a member.
    pub(crate) fn has_adopted(&self) -> bool {
        self.disk.membership.adopted.is_some()
    }

    pub(crate) fn start(&mut self, true_ms: u64, rng: &mut Rng, out: &mut NodeOutput) {
        self.process =
            Some(Process::new(self.variant, &self.name, &self.file, &self.disk, self.known_view.take(), rng));
        self.life += 1;
        self.tick(true_ms, out);
    }

    /// The process ends at once. Returns the exchanges that nobody will answer: their connections break.
    pub(crate) fn crash(&mut self, rng: &mut Rng, mishaps: &mut Vec<Mishap>) -> Vec<Exchange> {
        self.frozen = false;
        self.sync_fails = false;
        let mut broken: Vec<Exchange> = self.inbox.drain(..).map(|(exchange, _)| exchange).collect();
        if let Some(process) = self.process.take() {
            mishaps.extend(self.disk.crash(process.syncing(), rng));
            broken.extend(process.exchanges());
            self.known_view = process.view().cloned();
        }
        broken
    }

    /// The directory is lost, after a crash.
    pub(crate) fn lose_directory(&mut self, rng: &mut Rng) {
        self.disk.lose(self.variant == Variant::AmnesiacVotes, rng);
    }

    /// Takes a question.
    pub(crate) fn receive(
        &mut self,
        true_ms: u64,
        exchange: Exchange,
        body: Bytes,
        rng: &mut Rng,
        out: &mut NodeOutput,
    ) {
        if self.frozen {
            self.inbox.push_back((exchange, body));
            return;
        }
        let around = self.surroundings(true_ms);
        if let Some(process) = &mut self.process {
            process.receive(&around, &self.disk, exchange, body, rng, out);
        }
    }

    /// The shards work off what waits.
    pub(crate) fn work(&mut self, true_ms: u64, out: &mut NodeOutput) {
        let around = self.surroundings(true_ms);
        match &mut self.process {
            Some(process) if !self.frozen => process.work(&around, &self.disk, out),
            _ => {}
        }
    }

    /// Raises the horizon, and goes on with the choice of the first configuration.
    pub(crate) fn tick(&mut self, true_ms: u64, out: &mut NodeOutput) {
        let around = self.surroundings(true_ms);
        match &mut self.process {
            Some(process) if !self.frozen => process.tick(&around, out),
            _ => {}
        }
    }

    /// The sync under way is done.
    pub(crate) fn synced(&mut self, true_ms: u64, out: &mut NodeOutput) {
        let around = self.surroundings(true_ms);
        if let Some(process) = &mut self.process {
            process.synced(&around, &mut self.disk, out);
        }
    }

    /// Another node said who it is, or didn't.
    pub(crate) fn on_hello(&mut self, question: u64, answer: Option<Bytes>, out: &mut NodeOutput) {
        let hello = answer
            .ok_or_else(|| "no answer".to_owned())
            .and_then(|body| decode_hello(body).map_err(|error| error.to_string()));
        if let Some(process) = &mut self.process {
            process.on_hello(question, hello, out);
        }
    }

    /// Takes what came while the process stood still.
    pub(crate) fn thaw(&mut self) -> Vec<(Exchange, Bytes)> {
        self.frozen = false;
        self.inbox.drain(..).collect()
    }

    /// What is left in its tables and queues.
    pub(crate) fn leftovers(&mut self) -> Vec<(&'static str, usize)> {
        let keys = self.disk.registers().count();
        let mut left = vec![("questions not read", self.inbox.len())];
        left.extend(self.process.iter_mut().flat_map(|process| process.leftovers(keys)));
        left
    }

    fn surroundings(&self, true_ms: u64) -> Surroundings {
        Surroundings { now_ms: self.clock.read(true_ms), space: self.space }
    }
}
