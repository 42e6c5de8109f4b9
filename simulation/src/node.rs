//! A storage node: the replica that ships, over a model disk.

use std::collections::VecDeque;

use roundtable_consensus::{
    Ballot, Conditions, DiskSpace, Handled, Lookup, PromiseLimits, PromiseTable, ReadNeed, Readiness,
    Rejection, Replica, ReplicaConfig, Reply, ReplyBody, Request, Rng, StripedPromises, Ticket, Write,
};

use crate::clock::WallClock;
use crate::disk::Disk;
use crate::variant::Variant;

/// Registers above this size are stored apart; small, so that the simulation meets both kinds.
const INLINE_BYTES_MAX: u32 = 8;

/// Small enough for the table to overflow now and then.
const PROMISES: PromiseLimits = PromiseLimits { stripes: 2, stripe_bytes_max: 8 * 1024 };

/// Who asked, and in which life of the router: later lives don't want the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) router: usize,
    pub(crate) life: u32,
}

/// A reply ready to leave.
pub(crate) type Outgoing = (Asker, Reply);

#[derive(Debug)]
pub(crate) struct Node {
    variant: Variant,
    /// `None` while the process is down.
    replica: Option<Replica<StripedPromises>>,
    pub(crate) disk: Disk,
    /// The directory that the configuration names: another one does not vote.
    storage_configured: u32,
    /// Counts the lives of the process.
    pub(crate) life: u32,
    pub(crate) frozen: bool,
    pub(crate) clock: WallClock,
    /// The next sync fails.
    pub(crate) sync_fails: bool,
    pub(crate) space: DiskSpace,
    inbox: VecDeque<(Asker, Request)>,
    queue: Vec<(Ticket, Write)>,
    syncing: Vec<(Ticket, Write)>,
    waiting: Vec<(Ticket, Outgoing)>,
}

impl Node {
    pub(crate) fn new(variant: Variant) -> Self {
        let mut node = Self {
            variant,
            replica: None,
            disk: Disk::default(),
            storage_configured: 0,
            life: 0,
            frozen: false,
            clock: WallClock::default(),
            sync_fails: false,
            space: DiskSpace::Enough,
            inbox: VecDeque::new(),
            queue: Vec::new(),
            syncing: Vec::new(),
            waiting: Vec::new(),
        };
        node.start();
        node
    }

    pub(crate) fn is_up(&self) -> bool {
        self.replica.is_some()
    }

    pub(crate) fn clock_ms(&self, true_ms: u64) -> u64 {
        self.clock.read(true_ms)
    }

    /// Whether its directory is the one that the configuration names.
    pub(crate) fn is_named(&self) -> bool {
        self.disk.storage == self.storage_configured || self.variant == Variant::AmnesiacVotes
    }

    /// What is left in its tables and queues.
    pub(crate) fn leftovers(&self) -> [(&'static str, usize); 5] {
        let replica = self.replica.as_ref();
        [
            ("registers on their way to the disk", replica.map_or(0, Replica::pending)),
            ("promises", replica.map_or(0, |replica| replica.promises().len())),
            ("requests not read", self.inbox.len()),
            ("writes not synced", self.queue.len() + self.syncing.len()),
            ("replies not sent", self.waiting.len()),
        ]
    }

    /// Whether the node would vote, as its answer to a probe tells.
    pub(crate) fn is_ready(&self, true_ms: u64) -> bool {
        let passed = (self.replica.as_ref())
            .is_some_and(|replica| replica.readiness(self.clock_ms(true_ms)) == Readiness::Ready);
        self.is_named() && passed
    }

    pub(crate) fn start(&mut self) {
        let horizon = match self.variant {
            Variant::NoHorizon => Ballot::ZERO,
            _ => self.disk.horizon(),
        };
        self.replica = Some(self.new_replica(horizon));
        self.life += 1;
    }

    fn new_replica(&self, horizon: Ballot) -> Replica<StripedPromises> {
        let config = ReplicaConfig { inline_bytes_max: INLINE_BYTES_MAX, ..ReplicaConfig::STANDARD };
        Replica::new(config, StripedPromises::new(PROMISES), horizon)
    }

    /// The process ends at once. What was being synced is on the disk whole, or not at all. Returns the requests that
    /// nobody will answer: their connections break.
    pub(crate) fn crash(&mut self, rng: &mut Rng) -> Vec<(Asker, u64)> {
        if rng.up_to(1) == 0 {
            self.disk.apply(&self.syncing);
        }
        self.replica = None;
        self.frozen = false;
        self.sync_fails = false;
        self.queue.clear();
        self.syncing.clear();
        let unread = self.inbox.drain(..).map(|(asker, request)| (asker, request.id));
        unread.chain(self.waiting.drain(..).map(|(_, (asker, reply))| (asker, reply.id))).collect()
    }

    /// Takes a message. Returns replies that may leave now and whether a sync is to be started.
    pub(crate) fn receive(
        &mut self,
        true_ms: u64,
        asker: Asker,
        request: Request,
        rng: &mut Rng,
    ) -> (Vec<Outgoing>, bool) {
        if self.frozen {
            self.inbox.push_back((asker, request));
            return (Vec::new(), false);
        }
        if !self.is_ready(true_ms) {
            let body = ReplyBody::Rejected(Rejection::NotReady);
            return (vec![(asker, Reply { id: request.id, done: true, body })], false);
        }
        self.maybe_forget_promises(rng);
        let mut handled = Handled::default();
        let conditions = self.conditions(true_ms);
        let Some(replica) = &mut self.replica else { return (Vec::new(), false) };
        let key_hash = hash(request.key.as_bytes());
        let lookup = match replica.read_needed(&conditions, &request, key_hash) {
            ReadNeed::None => None,
            need => {
                let mut stored = self.disk.read(&request.key);
                if let Some(stored) = &mut stored
                    && need == ReadNeed::Head
                    && stored.spilled
                {
                    stored.register = stored.register.without_value();
                }
                Some(Lookup { as_of: replica.durable(), stored })
            }
        };
        replica.handle(&conditions, request, key_hash, lookup, &mut handled);
        self.take(asker, handled)
    }

    /// Raises the horizon in the background.
    pub(crate) fn tick(&mut self, true_ms: u64) -> bool {
        let now_ms = self.clock_ms(true_ms);
        let mut handled = Handled::default();
        match &mut self.replica {
            Some(replica) if !self.frozen => replica.tick(now_ms, &mut handled),
            _ => return false,
        }
        self.queue.append(&mut handled.writes);
        self.start_sync()
    }

    /// The sync under way is done: what waited for it may leave. Tells whether the next one is to be started.
    pub(crate) fn synced(&mut self) -> (Vec<Outgoing>, bool) {
        let group = std::mem::take(&mut self.syncing);
        self.disk.apply(&group);
        let (Some(replica), Some((last, _))) = (&mut self.replica, group.last()) else {
            return (Vec::new(), false);
        };
        replica.committed(*last);
        let (leaving, waiting) = self.waiting.drain(..).partition(|(ticket, _)| ticket <= last);
        self.waiting = waiting;
        let leaving = leaving.into_iter().map(|(_, outgoing)| outgoing).collect();
        (leaving, self.start_sync())
    }

    /// Takes what came while the process stood still.
    pub(crate) fn thaw(&mut self) -> Vec<(Asker, Request)> {
        self.frozen = false;
        self.inbox.drain(..).collect()
    }

    fn take(&mut self, asker: Asker, mut handled: Handled) -> (Vec<Outgoing>, bool) {
        self.queue.append(&mut handled.writes);
        let durable = self.replica.as_ref().map_or(Ticket::NONE, Replica::durable);
        let mut leaving = Vec::new();
        for (mut reply, ticket) in handled.replies {
            self.variant.register_told(&mut reply.body);
            if ticket <= durable || self.variant == Variant::AnswersBeforeSync {
                leaving.push((asker, reply));
            } else {
                self.waiting.push((ticket, (asker, reply)));
            }
        }
        (leaving, self.start_sync())
    }

    fn start_sync(&mut self) -> bool {
        if !self.syncing.is_empty() || self.queue.is_empty() {
            return false;
        }
        self.syncing = std::mem::take(&mut self.queue);
        true
    }

    fn conditions(&self, true_ms: u64) -> Conditions {
        Conditions { now_ms: self.clock_ms(true_ms), disk: self.space, purge_floor: Ballot::ZERO, done: true }
    }

    fn maybe_forget_promises(&mut self, rng: &mut Rng) {
        let idle = self.replica.as_ref().is_some_and(|replica| replica.durable() == replica.issued());
        if self.variant == Variant::PromisesForgotten && idle && rng.up_to(9) == 0 {
            self.replica = Some(self.new_replica(Ballot::ZERO));
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
