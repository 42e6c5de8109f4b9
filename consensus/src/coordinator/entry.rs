//! What a coordinator keeps of one key while anything waits on it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entries::HashedKey;
use crate::history::HistoryLimits;
use crate::ids::PartitionId;
use crate::operation::Change;
use crate::quorum::ReplicaSet;
use crate::read::QuorumRead;
use crate::round::{Round, RoundFailure, Slot, Token};

/// The read under way and those it will answer.
#[derive(Debug)]
pub(super) struct RunningRead {
    pub(super) read: QuorumRead,
    /// Tells this read's replies from those of an earlier read of the key.
    pub(super) serial: u64,
    pub(super) tokens: Vec<Token>,
    pub(super) hedge_at_us: u64,
}

/// The round under way.
#[derive(Debug)]
pub(super) struct RunningRound {
    pub(super) round: Round,
    pub(super) hedge_at_us: u64,
    /// It began at its Accept, on a head start that was a guess.
    pub(super) on_guess: bool,
}

/// One key with something under way or waiting.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: HashedKey,
    pub(super) partition: PartitionId,
    pub(super) replicas: Arc<ReplicaSet>,
    pub(super) round: Option<RunningRound>,
    pub(super) read: Option<RunningRead>,
    /// Operations for the next round, in order; reads among them could not be settled without one.
    pub(super) queue: VecDeque<Slot>,
    /// Reads for the next quorum read: they arrived after the present one was sent.
    pub(super) readers: Vec<Token>,
    /// No round starts before this time: the pause after a failed one.
    pub(super) retry_at_us: Option<u64>,
    /// Rounds failed in a row.
    pub(super) retries: u32,
    /// Ask for the value's bytes in the next round whatever the operations.
    pub(super) want_value: bool,
    /// The nodes' disks have no room, and operations wait that were in the round which learned so: the next one asks for none,
    /// settles those in doubt, and lets through what needs none.
    pub(super) no_room: bool,
    /// A read in the queue could not be settled without a round.
    pub(super) reads_need_round: bool,
    /// Why the last round failed.
    pub(super) last_failure: Option<RoundFailure>,
    /// The time under which the entry stands in the coordinator's timers.
    pub(super) timer_us: Option<u64>,
}

impl Entry {
    pub(super) fn new(key: HashedKey, partition: PartitionId, replicas: Arc<ReplicaSet>) -> Self {
        Self {
            key,
            partition,
            replicas,
            round: None,
            read: None,
            queue: VecDeque::new(),
            readers: Vec::new(),
            retry_at_us: None,
            retries: 0,
            want_value: false,
            no_room: false,
            reads_need_round: false,
            last_failure: None,
            timer_us: None,
        }
    }

    /// Whether nothing is under way and nothing waits: the entry can go.
    pub(super) fn is_idle(&self) -> bool {
        self.round.is_none() && self.read.is_none() && self.queue.is_empty() && self.readers.is_empty()
    }

    /// Whether a change of this router is under way or waits: a read had better join it than race it.
    pub(super) fn is_changing(&self) -> bool {
        self.round.is_some() || !self.queue.is_empty()
    }

    /// The next time at which the entry wants attention.
    pub(super) fn wanted_timer_us(&self) -> Option<u64> {
        let retry = if self.round.is_none() && !self.queue.is_empty() { self.retry_at_us } else { None };
        // Accepts have gone to every usable replica: time changes nothing but the patience of those who wait behind,
        // and of those in the round that it does not put in doubt.
        let round = self.round.as_ref().filter(|running| {
            let has_impatient = || running.round.never_sent().next().is_some();
            !running.round.is_accepting() || !self.queue.is_empty() || has_impatient()
        });
        let read = self.read.as_ref().map(|running| running.hedge_at_us);
        let sooner = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        sooner(sooner(round.map(|running| running.hedge_at_us), read), retry)
    }

    /// If only reads wait that joined the queue because a change was under way, lets them try without a round.
    pub(super) fn defer_plain_reads(&mut self) -> bool {
        let plain = |slot: &Slot| slot.proposal.operation.change == Change::Read;
        if self.reads_need_round || !self.queue.iter().all(plain) {
            self.reads_need_round = false;
            return false;
        }
        self.readers.extend(self.queue.drain(..).map(|slot| slot.token));
        true
    }

    /// Takes the operations of the next round from the queue, in order. Those of the last one stand first and fit into
    /// one round. So all that were tried before are among them, as the history counts on: this round stands in it
    /// for those in which they were tried.
    ///
    /// # Panics
    /// When an operation that was tried before would wait.
    pub(super) fn take_slots(&mut self, slots_max: usize) -> Vec<Slot> {
        let mut keyed = 0;
        let mut taken = 0;
        for slot in self.queue.iter().take(slots_max) {
            if slot.proposal.operation.client_key.is_some() {
                if keyed == HistoryLimits::KEYED_OPS_PER_ROUND {
                    break;
                }
                keyed += 1;
            }
            taken += 1;
        }
        let slots = self.queue.drain(..taken).collect();
        let untried = |slot: &Slot| slot.proposal.attempts.is_empty();
        assert!(self.queue.iter().all(untried), "an operation waits behind a round that drops its history");
        slots
    }

    /// Puts operations back before those that wait.
    pub(super) fn put_back(&mut self, slots: Vec<Slot>) {
        for slot in slots.into_iter().rev() {
            self.queue.push_front(slot);
        }
    }

    /// Requests that can't have taken effect: reads, and changes that no Accept was sent for.
    pub(super) fn never_sent(&self) -> impl Iterator<Item = Token> {
        let queued =
            self.queue.iter().filter(|slot| slot.proposal.attempts.is_empty()).map(|slot| slot.token);
        let running = self.round.iter().flat_map(|running| running.round.never_sent());
        let reading = self.read.iter().flat_map(|running| running.tokens.iter().copied());
        queued.chain(running).chain(reading).chain(self.readers.iter().copied())
    }

    /// Ends a read or a round that nobody waits for any more; not a round whose Accept was sent.
    pub(super) fn end_unwanted(&mut self) {
        if self
            .round
            .as_ref()
            .is_some_and(|running| running.round.is_empty() && !running.round.is_accepting())
        {
            self.round = None;
        }
        if self.read.as_ref().is_some_and(|running| running.tokens.is_empty()) {
            self.read = None;
        }
    }

    /// Takes one operation out wherever it is.
    pub(super) fn withdraw(&mut self, token: Token) -> Withdrawn {
        if let Some(place) = self.readers.iter().position(|reader| *reader == token) {
            self.readers.swap_remove(place);
            return Withdrawn::NeverSent;
        }
        if let Some(place) = self.read.as_ref().and_then(|read| read.tokens.iter().position(|t| *t == token))
        {
            if let Some(read) = &mut self.read {
                read.tokens.swap_remove(place);
            }
            return Withdrawn::NeverSent;
        }
        let queued = self.queue.iter().position(|slot| slot.token == token);
        let queued = queued.and_then(|place| self.queue.remove(place));
        let in_doubt = match (queued, &mut self.round) {
            (Some(slot), _) => !slot.proposal.attempts.is_empty(),
            (None, Some(running)) => {
                let in_doubt = running.round.is_in_doubt(token);
                running.round.withdraw(token);
                in_doubt
            }
            // Nowhere: nothing can be said of it.
            (None, None) => true,
        };
        if in_doubt { Withdrawn::InDoubt } else { Withdrawn::NeverSent }
    }
}

/// What is known of an operation that was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withdrawn {
    /// No Accept of it was ever sent: it is never applied.
    NeverSent,
    /// An Accept of it was sent.
    InDoubt,
}
