//! The whole path of an operation through the core: a router's coordinator, the wire bodies in both directions, the
//! replicas of three nodes, and the registers as they lie on disk. One thread, no sockets, no clock, no chance: the same
//! operations take the same steps every time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use roundtable_common::placement::partition_of;
use roundtable_common::wire::{
    Target, decode_register, decode_replies, decode_requests, encode_register, encode_replies,
    encode_requests, register_size_hint,
};
use roundtable_consensus::{
    Ballot, Change, Conditions, Coordinator, CoordinatorConfig, DiskSpace, Effects, Expiry, Handled, Key,
    Lookup, NodeIndex, Now, Operation, PromiseLimits, ReadNeed, Replica, ReplicaConfig, ReplicaSet, Reply,
    Request, Stored, StripedPromises, Submit, Task, Ticket, Token, Value, Write,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{NOW_MS, key, target};

/// Operations under way at once, each on a key of its own.
const BATCH: u64 = 16;

/// How many keys there are; each is used in turn.
pub const KEYS: u64 = 1_024;

/// Partitions of the sample cluster.
const PARTITIONS: u32 = 256;

/// The time that a batch takes: a key is written again after more than ten seconds, so that its history is short, as
/// that of most keys is.
const BATCH_MS: u64 = 200;

/// What the operations do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes values of 1 KiB.
    Put,
    /// Reads them.
    Get,
}

/// A router and three nodes.
#[derive(Debug)]
pub struct Path {
    coordinator: Coordinator,
    nodes: Vec<Node>,
    replicas: Arc<ReplicaSet>,
    target: Target,
    now: Now,
    done: u64,
}

impl Default for Path {
    fn default() -> Self {
        Self::new()
    }
}

impl Path {
    /// With every key written once.
    #[must_use]
    pub fn new() -> Self {
        let replicas = ReplicaSet::single((0..3).map(NodeIndex).collect());
        let mut path = Self {
            coordinator: Coordinator::new(CoordinatorConfig::default(), 1),
            nodes: (0..3).map(|_| Node::new()).collect(),
            replicas: Arc::new(replicas),
            target: target(),
            now: Now { wall_ms: NOW_MS, mono_us: 0 },
            done: 0,
        };
        path.run(Kind::Put, KEYS);
        path
    }

    /// So many operations, in batches of 16.
    ///
    /// # Panics
    /// When one of them is not answered, or fails.
    pub fn run(&mut self, kind: Kind, operations: u64) {
        let mut left = operations;
        while left > 0 {
            let batch = left.min(BATCH);
            self.batch(kind, batch);
            left -= batch;
        }
    }

    fn batch(&mut self, kind: Kind, size: u64) {
        self.now.wall_ms += BATCH_MS;
        self.now.mono_us += BATCH_MS * 1_000;
        let mut effects = Effects::default();
        for _ in 0..size {
            self.submit(kind, &mut effects);
        }
        let mut answered = 0;
        loop {
            for (token, answer) in effects.answers.drain(..) {
                assert!(answer.is_ok(), "operation {token:?} failed: {answer:?}");
                answered += 1;
            }
            if effects.sends.is_empty() {
                break;
            }
            self.deliver(&mut effects);
        }
        assert_eq!(answered, size, "an operation is left without an answer");
    }

    fn submit(&mut self, kind: Kind, effects: &mut Effects) {
        let key = key(self.done % KEYS);
        self.done += 1;
        let task = match kind {
            Kind::Get => Task::Read,
            Kind::Put => {
                let bytes = Bytes::from(vec![b'x'; 1024]);
                let value = Value { bytes, ..Value::default() };
                Task::Change(Operation::new(Change::Put { value, expiry: Expiry::Never }))
            }
        };
        let submit = Submit {
            token: Token(self.done),
            partition: partition_of(&key, PARTITIONS),
            key,
            replicas: Arc::clone(&self.replicas),
            task,
            deadline_us: self.now.mono_us + 5_000_000,
        };
        self.coordinator.submit(self.now, submit, effects);
    }

    /// Carries every message to its node as one batch for each, and the replies back.
    fn deliver(&mut self, effects: &mut Effects) {
        let mut batches: BTreeMap<NodeIndex, Vec<Request>> = BTreeMap::new();
        for (node, request) in effects.sends.drain(..) {
            batches.entry(node).or_default().push(request);
        }
        for (index, requests) in batches {
            let Some(node) = self.nodes.get_mut(usize::from(index.0)) else { continue };
            let body = node.serve(self.now.wall_ms, &self.target, encode_requests(&self.target, &requests));
            let batch = decode_replies(body).unwrap_or_else(|error| panic!("replies: {error}"));
            let replies = batch.outcome.unwrap_or_else(|refused| panic!("refused: {refused:?}"));
            for reply in replies {
                self.coordinator.on_reply(self.now, index, batch.node_ms, reply, effects);
            }
        }
    }
}

/// A node with one shard: its replica, and what its disk holds.
#[derive(Debug)]
struct Node {
    replica: Replica<StripedPromises>,
    disk: BTreeMap<Key, Bytes>,
}

impl Node {
    fn new() -> Self {
        let promises = StripedPromises::new(PromiseLimits::STANDARD);
        Self { replica: Replica::new(ReplicaConfig::STANDARD, promises, Ballot::ZERO), disk: BTreeMap::new() }
    }

    /// Decides a batch, makes its writes durable, and answers.
    fn serve(&mut self, now_ms: u64, target: &Target, body: Bytes) -> Bytes {
        let (_, requests) = decode_requests(body).unwrap_or_else(|error| panic!("requests: {error}"));
        let conditions =
            Conditions { now_ms, disk: DiskSpace::Enough, purge_floor: Ballot::ZERO, done: true };
        let mut handled = Handled::default();
        for request in requests {
            let key_hash = xxh3_64(request.key.as_bytes());
            let needed = self.replica.read_needed(&conditions, &request, key_hash) != ReadNeed::None;
            let lookup = needed.then(|| self.look_up(&request.key));
            self.replica.handle(&conditions, request, key_hash, lookup, &mut handled);
        }
        let mut durable = Ticket::NONE;
        for (ticket, write) in handled.writes {
            self.write(write);
            durable = ticket;
        }
        if durable > Ticket::NONE {
            self.replica.committed(durable);
        }
        let replies: Vec<Reply> = handled.replies.into_iter().map(|(reply, _)| reply).collect();
        encode_replies(target, now_ms, &replies)
    }

    fn look_up(&self, key: &Key) -> Lookup {
        let stored = self.disk.get(key).map(|bytes| {
            let register = decode_register(bytes).unwrap_or_else(|error| panic!("register: {error}"));
            Stored { register, spilled: false }
        });
        Lookup { as_of: self.replica.durable(), stored }
    }

    fn write(&mut self, write: Write) {
        if let Write::Accept { key, register, .. } = write {
            let mut bytes = Vec::with_capacity(register_size_hint(&register));
            encode_register(&register, &mut bytes);
            self.disk.insert(key, bytes.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_and_gets_go_all_the_way() {
        let mut path = Path::new();
        let on_disk = |path: &Path| path.nodes.iter().map(|node| node.disk.len()).collect::<Vec<_>>();
        let first = on_disk(&path);
        // Each round needs two of three nodes, whichever these are.
        assert!(first.iter().sum::<usize>() >= 2 * usize::try_from(KEYS).unwrap(), "{first:?}");
        path.run(Kind::Get, 100);
        assert_eq!(on_disk(&path), first, "reads write nothing");
        path.run(Kind::Put, 100);
        assert_eq!(path.done, KEYS + 200);
        assert_eq!(path.coordinator.in_flight(), 0);
    }

    #[test]
    fn reads_take_one_round_trip_and_histories_stay_short() {
        let mut path = Path::new();
        path.run(Kind::Put, 2 * KEYS);
        let before = path.coordinator.stats();
        path.run(Kind::Get, KEYS);
        assert_eq!(path.coordinator.stats().rounds, before.rounds);
        let longest = path.nodes.iter().flat_map(|node| node.disk.values()).map(Bytes::len).max().unwrap();
        assert!(longest < 1024 + 200, "{longest}");
    }
}
