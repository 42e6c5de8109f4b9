//! One shard of a storage node's acceptors: every key whose hash falls into its slice.
//!
//! A replica decides and never waits. Requests go in one by one; replies and writes come out, each with a
//! [`Ticket`], its place in the shard's order of writes. The shell around it reads the disk before, writes and syncs
//! after, and lets a reply go when everything up to its ticket is durable. One thread, many keys, and as many
//! requests under one sync as came while the last one ran.
//!
//! What may be answered rests on three layers, looked at from the top:
//!
//! 1. the *recent* registers: those accepted and on their way to the disk, and as many of the others as there is room
//!    for;
//! 2. the *promises*, in memory, with their floors; each notes what stood in the register when it was made;
//! 3. the disk, read by the shell when [`Replica::read_needed`] asks for it.
//!
//! Three things make an answer wait: a register accepted just now, the register of the key that is on its way already
//! (whoever is told of it must find it after a crash), and a horizon that is not durable yet (a promise must survive
//! the crash that forgets it). Refusals wait for nothing: they bind nobody.
//!
//! A reading of the disk is good only until a recent register is let go, so each carries the [`Ticket`] up to which
//! everything was durable when it was taken, and an outdated one stops the process: a decision on a stale register
//! could accept below a ballot that was accepted before.

mod boundary;
mod horizon;
mod present;
mod recent;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use boundary::{Conditions, DiskSpace, Handled, Lookup, ReadNeed, ReplicaConfig, Stored, Ticket, Write};
pub use horizon::Readiness;

use horizon::Horizon;
use present::Place;
use recent::{Known, Recent};

use crate::acceptor::{Acceptance, Acceptor};
use crate::ballot::{Ballot, Hlc};
use crate::key::Key;
use crate::message::{Rejection, Reply, ReplyBody, Request, RequestBody};
use crate::promise::{Head, Promise, PromiseTable};
use crate::register::{Content, Register};
use crate::round::HeadStart;

/// The acceptors of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replica<P> {
    config: ReplicaConfig,
    promises: P,
    recent: Recent,
    horizon: Horizon,
    /// The last ticket given.
    issued: Ticket,
    /// Everything up to here is durable.
    durable: Ticket,
}

impl<P: PromiseTable> Replica<P> {
    /// A promise is used as long after its ballot's time as a head start counts and a request takes; clocks may differ
    /// by as much as a request takes.
    const PROMISE_AGE_MS_MAX: u64 = HeadStart::AGE_MS_MAX + 2 * 5_000;

    /// The replica of a shard that was just opened. `horizon_on_disk` is the highest horizon found there, of any
    /// shard (keys may have belonged to another one before): every key counts as promised at it.
    ///
    /// # Panics
    /// When `config` gives the horizon no lead.
    #[must_use]
    pub fn new(config: ReplicaConfig, promises: P, horizon_on_disk: Ballot) -> Self {
        let horizon = Horizon::new(horizon_on_disk, config.horizon_lead_ms);
        let recent = Recent::new(config.recent_bytes_max);
        Self { config, promises, recent, horizon, issued: Ticket::NONE, durable: Ticket::NONE }
    }

    /// Whether the node's clock lets it vote after its start. Voting earlier would break nothing, but push ballots
    /// ahead of real time.
    #[must_use]
    pub fn readiness(&self, now_ms: u64) -> Readiness {
        self.horizon.readiness(now_ms, self.config.clock_skew_ms_max)
    }

    /// Everything up to this ticket is known to be durable and found on the disk.
    #[must_use]
    pub fn durable(&self) -> Ticket {
        self.durable
    }

    /// The last ticket given to a write.
    #[must_use]
    pub fn issued(&self) -> Ticket {
        self.issued
    }

    /// Keys with a register on its way to the disk.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.recent.pending()
    }

    /// Bytes that registers kept in memory count for, those aside that are on their way to the disk only.
    #[must_use]
    pub fn recent_bytes(&self) -> usize {
        self.recent.kept_bytes()
    }

    /// The promise table, for metrics.
    #[must_use]
    pub fn promises(&self) -> &P {
        &self.promises
    }

    /// What must be read from disk before [`Self::handle`] gets this request. Between the two, [`Self::committed`]
    /// must not be called.
    #[must_use]
    pub fn read_needed(&self, conditions: &Conditions, request: &Request, key_hash: u64) -> ReadNeed {
        let key = &request.key;
        if self.recent.get(key_hash, key).is_some() {
            return ReadNeed::None;
        }
        let wanted = |want_value| if want_value { ReadNeed::Value } else { ReadNeed::Head };
        match &request.body {
            RequestBody::Prepare { ballot, want_value, grows } => {
                let refused = self.refuse_prepare(conditions, *ballot, *grows).is_some()
                    || self.promised(key_hash, key) >= *ballot;
                if refused { ReadNeed::None } else { wanted(*want_value) }
            }
            RequestBody::Accept { register, .. } => {
                let refused = self.refuse_skew(conditions, register.accepted).is_some();
                let noted = self.noted_head(conditions, register.accepted, key_hash, key).is_some();
                if refused || noted { ReadNeed::None } else { ReadNeed::Head }
            }
            RequestBody::Read { want_value } => wanted(*want_value),
            RequestBody::Fetch { .. } => ReadNeed::Value,
        }
    }

    /// Decides one request: pushes exactly one reply, and what it makes durable.
    ///
    /// `lookup` is what was read as [`Self::read_needed`] asked; `None` when it asked for nothing. An earlier request
    /// of the same batch may have changed what is needed; then a Prepare or Accept is refused, which is always safe.
    /// That the key lies in the request's partition, and the partition on this node, is the shell's to check. An
    /// Accept that doesn't come from its proposer (a shipped log entry) must not ask for the next ballot.
    ///
    /// # Panics
    /// When the shell breaks the contract: an outdated lookup, a value that was needed and not read, a register with
    /// a withheld value in an Accept.
    pub fn handle(
        &mut self,
        conditions: &Conditions,
        request: Request,
        key_hash: u64,
        lookup: Option<Lookup>,
        out: &mut Handled,
    ) {
        if let Some(lookup) = &lookup {
            assert_eq!(lookup.as_of, self.durable, "the register was read before the last commit was noted");
        }
        let Request { id, partition, key, body, done: _ } = request;
        let place = Place { partition, key, key_hash };
        let (body, ticket) = match body {
            RequestBody::Prepare { ballot, want_value, grows } => {
                match self.refuse_prepare(conditions, ballot, grows) {
                    Some(rejection) => (ReplyBody::Rejected(rejection), Ticket::NONE),
                    None => self.prepare(conditions, &place, ballot, want_value, lookup, out),
                }
            }
            RequestBody::Accept { register, next } => match self.refuse_skew(conditions, register.accepted) {
                Some(rejection) => (ReplyBody::Rejected(rejection), Ticket::NONE),
                None => self.accept(conditions, &place, register, next, lookup, out),
            },
            RequestBody::Read { want_value } => {
                let current = self.must_find(conditions, &place, lookup);
                (ReplyBody::State(told(current.register.told(), want_value)), current.ticket)
            }
            RequestBody::Fetch { accepted } => {
                let current = self.must_find(conditions, &place, lookup);
                let found = current.register.accepted == accepted;
                (
                    ReplyBody::Fetched(found.then(|| told(Register::clone(&current.register), true))),
                    current.ticket,
                )
            }
        };
        assert!(ticket <= self.issued, "a reply would wait for a write that nobody makes");
        out.replies.push((Reply { id, done: conditions.done, body }, ticket));
    }

    /// Raises the horizon in the background, so that ballots of the next moment need not wait for it. To be called
    /// a few times a second; does nothing without traffic.
    ///
    /// Promises that nobody will use any more are forgotten, too: those of ballots over forty seconds old.
    pub fn tick(&mut self, now_ms: u64, out: &mut Handled) {
        let before_ms = now_ms.saturating_sub(Self::PROMISE_AGE_MS_MAX);
        self.promises.forget_before(Ballot::floor_of(Hlc::from_millis(before_ms)));
        if let Some(horizon) = self.horizon.raise_ahead(now_ms) {
            self.write_horizon(horizon, out);
        }
    }

    /// Everything up to `ticket` is durable, though whoever reads the disk may not find it yet: horizons up to it are
    /// waited for no more.
    ///
    /// # Panics
    /// When `ticket` was never given.
    pub fn synced(&mut self, ticket: Ticket) {
        assert!(ticket <= self.issued, "{ticket:?} is no write on its way");
        self.horizon.committed(ticket);
    }

    /// Everything up to `ticket` is durable, and whoever reads the disk finds it.
    ///
    /// # Panics
    /// When `ticket` was never given, or is lower than in an earlier call.
    pub fn committed(&mut self, ticket: Ticket) {
        assert!((self.durable..=self.issued).contains(&ticket), "{ticket:?} is no write on its way");
        self.durable = ticket;
        self.recent.committed(ticket);
        self.horizon.committed(ticket);
    }

    fn prepare(
        &mut self,
        conditions: &Conditions,
        place: &Place,
        ballot: Ballot,
        want_value: bool,
        lookup: Option<Lookup>,
        out: &mut Handled,
    ) -> (ReplyBody, Ticket) {
        let promised = self.promised(place.key_hash, &place.key);
        let Some(current) = self.current(conditions, place, lookup) else {
            return outbid(promised.max(ballot));
        };
        let found = Head::of(&current.register, current.spilled);
        self.check_note(conditions, place, &found);
        let acceptor = Acceptor { promised, accepted: found.accepted, purge_floor: conditions.purge_floor };
        if let Err(held) = acceptor.prepare(ballot) {
            return outbid(held);
        }
        self.cover(ballot, conditions.now_ms, out);
        self.promises.insert(place.key_hash, &place.key, Promise { ballot, found });
        let ticket = current.ticket.max(self.horizon.wait_for(ballot));
        (ReplyBody::Promised(told(Register::clone(&current.register), want_value)), ticket)
    }

    fn accept(
        &mut self,
        conditions: &Conditions,
        place: &Place,
        register: Arc<Register>,
        next: Option<Hlc>,
        lookup: Option<Lookup>,
        out: &mut Handled,
    ) -> (ReplyBody, Ticket) {
        let ballot = register.accepted;
        let promised = self.promised(place.key_hash, &place.key);
        let Some((found, found_ticket)) = self.current_head(conditions, place, ballot, lookup) else {
            return outbid(promised.max(ballot));
        };
        let acceptor = Acceptor { promised, accepted: found.accepted, purge_floor: conditions.purge_floor };
        let acceptance = match acceptor.accept(ballot) {
            Ok(acceptance) => acceptance,
            Err(held) => return outbid(held),
        };
        let next = next.and_then(|next| acceptor.promise_next(ballot, next));
        // Below the reserve a round that grows the data is refused at its first phase: it has to have one.
        let next = next.filter(|next| {
            next.hlc.millis() <= self.limit_ms(conditions) && conditions.disk == DiskSpace::Enough
        });
        let (head, stored) = match acceptance {
            Acceptance::Repeated => (found, found_ticket),
            Acceptance::Store => {
                let head = Head::of(&register, self.spills(&register));
                if conditions.disk == DiskSpace::Critical && head.value_bytes > found.value_bytes {
                    return (ReplyBody::Rejected(Rejection::DiskReserve), Ticket::NONE);
                }
                self.cover(next.unwrap_or(ballot), conditions.now_ms, out);
                (head, self.store(place, register, &head, &found, out))
            }
        };
        match next {
            Some(next) => {
                self.cover(next, conditions.now_ms, out);
                self.promises.insert(place.key_hash, &place.key, Promise { ballot: next, found: head });
                let ticket = stored.max(self.horizon.wait_for(next));
                (ReplyBody::Accepted { next_promised: true }, ticket)
            }
            None => {
                if acceptance == Acceptance::Store {
                    self.promises.remove(place.key_hash, &place.key);
                }
                (ReplyBody::Accepted { next_promised: false }, stored)
            }
        }
    }

    fn store(
        &mut self,
        place: &Place,
        register: Arc<Register>,
        head: &Head,
        replaced: &Head,
        out: &mut Handled,
    ) -> Ticket {
        assert!(!matches!(register.content, Content::Withheld { .. }), "a withheld value would be stored");
        let (from, to) = (replaced.accepted, head.accepted);
        assert!(from < to, "the accepted ballot would go from {from} to {to}");
        assert!(to < self.horizon.written(), "{to} would be accepted at or above the horizon");
        // A copy of its own, because it stays for a while: the value is a slice of the message. A long value is most of
        // its message.
        let register =
            if head.spilled { register } else { Arc::new(Arc::unwrap_or_clone(register).detached()) };
        let write = Write::Accept {
            partition: place.partition,
            key: place.key.clone(),
            register: Arc::clone(&register),
            spills: head.spilled,
            was_spilled: replaced.spilled,
            replaced_bytes: replaced.value_bytes,
        };
        let ticket = self.write(write, out);
        let known = Known { register, spilled: head.spilled, ticket };
        self.recent.insert(place.key_hash, &place.key, known);
        ticket
    }

    /// Sees to it that the horizon is above a ballot about to be promised or accepted.
    fn cover(&mut self, ballot: Ballot, now_ms: u64, out: &mut Handled) {
        if let Some(horizon) = self.horizon.cover(ballot, now_ms) {
            self.write_horizon(horizon, out);
        }
    }

    fn write_horizon(&mut self, horizon: Ballot, out: &mut Handled) {
        let ticket = self.write(Write::Horizon(horizon), out);
        self.horizon.wrote(horizon, ticket);
    }

    fn write(&mut self, write: Write, out: &mut Handled) -> Ticket {
        self.issued = Ticket(self.issued.0 + 1);
        out.writes.push((self.issued, write));
        self.issued
    }

    /// The highest ballot that the key counts as promised, its accepted one aside.
    fn promised(&self, key_hash: u64, key: &Key) -> Ballot {
        let own = self.promises.get(key_hash, key).map_or(Ballot::ZERO, |promise| promise.ballot);
        own.max(self.promises.floor(key_hash)).max(self.horizon.restart_floor())
    }

    fn refuse_prepare(&self, conditions: &Conditions, ballot: Ballot, grows: bool) -> Option<Rejection> {
        let full = grows && conditions.disk != DiskSpace::Enough;
        self.refuse_skew(conditions, ballot).or(full.then_some(Rejection::DiskReserve))
    }

    fn refuse_skew(&self, conditions: &Conditions, ballot: Ballot) -> Option<Rejection> {
        let limit_ms = self.limit_ms(conditions);
        (ballot.hlc.millis() > limit_ms).then_some(Rejection::ClockSkew { limit_ms })
    }

    /// The last millisecond of ballots that are taken now.
    fn limit_ms(&self, conditions: &Conditions) -> u64 {
        conditions.now_ms.saturating_add(self.config.clock_skew_ms_max)
    }

    fn spills(&self, register: &Register) -> bool {
        Head::of(register, false).value_bytes > self.config.inline_bytes_max
    }
}

fn outbid(held: Ballot) -> (ReplyBody, Ticket) {
    (ReplyBody::Rejected(Rejection::Outbid(held)), Ticket::NONE)
}

/// The register as a reply tells it.
fn told(mut register: Register, want_value: bool) -> Register {
    let withheld = matches!(register.content, Content::Withheld { .. });
    assert!(!(want_value && withheld), "the value was asked for and not read");
    if !want_value && register.content.is_live() {
        register.content = Content::Withheld { value_bytes: Head::of(&register, false).value_bytes };
    }
    register
}
