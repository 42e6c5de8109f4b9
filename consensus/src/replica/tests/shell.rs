//! A storage node's shell in small: a disk that survives crashes, a queue of writes that doesn't.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ballot::{Ballot, Hlc, ProposerId, Version};
use crate::ids::PartitionId;
use crate::key::Key;
use crate::message::{Reply, ReplyBody, Request, RequestBody};
use crate::promise::{Head, PromiseTable};
use crate::register::{Content, ContentType, Register, Value};
use crate::replica::{
    Conditions, DiskSpace, Handled, Lookup, ReadNeed, Replica, ReplicaConfig, Stored, Ticket, Write,
};

pub(super) const CONFIG: ReplicaConfig = ReplicaConfig {
    clock_skew_ms_max: 5_000,
    horizon_lead_ms: 1_000,
    inline_bytes_max: 4,
    recent_bytes_max: 0,
};

/// Room for one register of these tests.
pub(super) const ROOM_BYTES: usize = 450;

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    /// Registers, those with a large value without it.
    pub(super) registers: BTreeMap<Key, Stored>,
    values: BTreeMap<Key, Value>,
    pub(super) horizon: Ballot,
}

impl Disk {
    pub(super) fn accepted(&self, key: &Key) -> Ballot {
        self.registers.get(key).map_or(Ballot::ZERO, |stored| stored.register.accepted)
    }

    pub(super) fn read(&self, key: &Key, need: ReadNeed) -> Option<Stored> {
        let mut stored = self.registers.get(key)?.clone();
        if stored.spilled && need == ReadNeed::Value {
            stored.register.content = Content::Live(self.values[key].clone());
        }
        Some(stored)
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Horizon(horizon) => {
                assert!(horizon > self.horizon, "the horizon on disk goes down");
                self.horizon = horizon;
            }
            Write::Accept { key, register, spills, was_spilled, replaced_bytes, .. } => {
                assert!(register.accepted > self.accepted(&key), "the accepted ballot on disk goes down");
                assert!(register.accepted < self.horizon, "accepted at or above the horizon on disk");
                let spilled_before = self.registers.get(&key).is_some_and(|stored| stored.spilled);
                assert_eq!(was_spilled, spilled_before, "the replica lost track of the value's place");
                let bytes_before = (self.registers.get(&key))
                    .map_or(0, |stored| Head::of(&stored.register, stored.spilled).value_bytes);
                assert_eq!(replaced_bytes, bytes_before, "the replica lost track of the value's length");
                let mut register = Register::clone(&register);
                if spills {
                    let value = register.content.value().expect("only values are stored apart").clone();
                    self.values.insert(key.clone(), value);
                    register = register.without_value();
                } else {
                    self.values.remove(&key);
                }
                self.registers.insert(key, Stored { register, spilled: spills });
            }
        }
    }
}

pub(super) struct Shell<P> {
    pub(super) replica: Replica<P>,
    pub(super) disk: Disk,
    pub(super) conditions: Conditions,
    queue: VecDeque<(Ticket, Write)>,
    waiting: Vec<(Request, Reply, Ticket)>,
    /// Replies that have left, with their requests.
    pub(super) told: Vec<(Request, Reply)>,
    /// A flaw for the specification to find: replies leave without waiting for their ticket.
    pub(super) impatient: bool,
}

impl<P: PromiseTable> Shell<P> {
    /// `recent_bytes_max` is the replica's: room for registers beyond those on their way to the disk.
    pub(super) fn new(promises: P, now_ms: u64, recent_bytes_max: usize) -> Self {
        let conditions =
            Conditions { now_ms, disk: DiskSpace::Enough, purge_floor: Ballot::ZERO, done: true };
        Self {
            replica: Replica::new(ReplicaConfig { recent_bytes_max, ..CONFIG }, promises, Ballot::ZERO),
            disk: Disk::default(),
            conditions,
            queue: VecDeque::new(),
            waiting: Vec::new(),
            told: Vec::new(),
            impatient: false,
        }
    }

    /// Handles requests as one batch: all readings of the disk first. Every key has the same hash.
    pub(super) fn batch(&mut self, requests: Vec<Request>) {
        let as_of = self.replica.durable();
        let lookups: Vec<Option<Lookup>> = requests
            .iter()
            .map(|request| match self.replica.read_needed(&self.conditions, request, 0) {
                ReadNeed::None => None,
                need => Some(Lookup { as_of, stored: self.disk.read(&request.key, need) }),
            })
            .collect();
        for (request, lookup) in requests.into_iter().zip(lookups) {
            let mut out = Handled::default();
            self.replica.handle(&self.conditions, request.clone(), 0, lookup, &mut out);
            self.queue.extend(out.writes);
            let (reply, ticket) = out.replies.pop().expect("one reply for each request");
            assert!(out.replies.is_empty());
            self.waiting.push((request, reply, ticket));
        }
        self.release();
    }

    /// Handles one request and gives its answer, if that needs no write.
    pub(super) fn ask(&mut self, key: &Key, body: RequestBody) -> Option<ReplyBody> {
        let before = self.told.len();
        self.batch(vec![request(key, body)]);
        self.told.get(before).map(|(_, reply)| reply.body.clone())
    }

    /// Handles one request, makes everything durable, and gives its answer.
    pub(super) fn settle(&mut self, key: &Key, body: RequestBody) -> ReplyBody {
        self.batch(vec![request(key, body)]);
        self.commit(usize::MAX);
        self.told.last().expect("an answer after the sync").1.body.clone()
    }

    pub(super) fn tick(&mut self) {
        let mut out = Handled::default();
        self.replica.tick(self.conditions.now_ms, &mut out);
        self.queue.extend(out.writes);
    }

    /// Makes the first `count` writes durable, as one group.
    pub(super) fn commit(&mut self, count: usize) {
        if let Some(ticket) = self.persist(count) {
            self.replica.committed(ticket);
            self.check_recent();
            self.release();
        }
    }

    /// Loses everything in memory. The first `kept` writes had reached the disk, though nobody was told.
    pub(super) fn crash(&mut self, kept: usize, promises: P) {
        self.persist(kept);
        self.queue.clear();
        self.waiting.clear();
        self.replica = Replica::new(self.replica.config, promises, self.disk.horizon);
    }

    /// A crash of a node that doesn't read its horizon afterwards.
    pub(super) fn crash_without_horizon(&mut self, kept: usize, promises: P) {
        self.persist(kept);
        self.disk.horizon = Ballot::ZERO;
        self.crash(0, promises);
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What the replica knows without the disk is on its way there, or what the disk tells.
    fn check_recent(&self) {
        for (key, known) in self.replica.recent.iter() {
            let stored = self.disk.registers.get(key).map(|stored| &stored.register);
            let is_durable = known.ticket <= self.replica.durable();
            assert!(
                !is_durable || stored == Some(&*known.register),
                "{key:?}: {known:?}, on the disk {stored:?}"
            );
        }
    }

    fn persist(&mut self, count: usize) -> Option<Ticket> {
        let mut last = None;
        for (ticket, write) in self.queue.drain(..count.min(self.queue.len())) {
            assert!(last.is_none_or(|last: Ticket| ticket.0 == last.0 + 1), "a gap in the tickets");
            self.disk.apply(write);
            last = Some(ticket);
        }
        last
    }

    fn release(&mut self) {
        let durable = self.replica.durable();
        let (free, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, _, ticket)| self.impatient || *ticket <= durable);
        self.waiting = waiting;
        self.told.extend(Vec::into_iter(free).map(|(request, reply, _)| (request, reply)));
    }
}

pub(super) fn request(key: &Key, body: RequestBody) -> Request {
    Request { id: 7, partition: PartitionId(0), done: true, key: key.clone(), body }
}

pub(super) fn key(name: &'static str) -> Key {
    Key::new(name).expect("a short key")
}

pub(super) fn ballot(ms: u64) -> Ballot {
    Ballot::new(Hlc::from_millis(ms), ProposerId(1))
}

/// The register that round `accepted` writes: a value of this many bytes, or a tombstone.
pub(super) fn register(accepted: Ballot, value_bytes: Option<usize>) -> Register {
    let content = value_bytes.map_or(Content::Tombstone, |len| {
        Content::Live(Value { bytes: Bytes::from(vec![b'v'; len]), content_type: ContentType::default() })
    });
    let version = Version { ballot: accepted, index: 0 };
    Register { accepted, version, content, ..Register::absent(Ballot::ZERO) }
}

pub(super) fn prepare(ballot: Ballot) -> RequestBody {
    RequestBody::Prepare { ballot, want_value: false, grows: false }
}

pub(super) fn accept(ballot: Ballot) -> RequestBody {
    RequestBody::Accept { register: register(ballot, Some(1)).into(), next: None }
}
