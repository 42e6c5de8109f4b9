//! What a coordinator does because time passes: deadlines, hedges, the end of patience.

use super::entries::EntryId;
use super::entry::Withdrawn;
use super::{Coordinator, Effects, Failure, Now, Waits};
use crate::quorum::ReplicaSet;
use crate::round::{RoundFailure, Token};

impl Coordinator {
    /// Does what is due: ends requests whose time is over, asks further replicas, tries again.
    pub fn tick(&mut self, now: Now, out: &mut Effects) {
        while let Some((at_us, token)) =
            self.deadlines.first().copied().filter(|(at_us, _)| *at_us <= now.mono_us)
        {
            self.deadlines.remove(&(at_us, token));
            self.on_deadline(now, token, out);
        }
        while let Some((at_us, id)) = self.timers.first().copied().filter(|(at_us, _)| *at_us <= now.mono_us)
        {
            self.timers.remove(&(at_us, id));
            if let Some(entry) = self.entries.get_mut(id) {
                entry.timer_us = None;
            }
            self.on_timer(now, id, out);
        }
    }

    fn on_deadline(&mut self, now: Now, token: Token, out: &mut Effects) {
        let Some(client) = self.clients.get(token.0) else { return };
        let reads = client.reads;
        let id = match &client.waits {
            Waits::Entry(id) => *id,
            Waits::Eventual(read) => {
                let usable = self.has_usable_quorum(&read.replicas);
                let failure = if usable { Failure::Timeout } else { Failure::NoQuorum };
                return self.answer(token, Err(failure), out);
            }
        };
        let failure = match self.entries.get_mut(id) {
            Some(entry) => {
                let withdrawn = entry.withdraw(token);
                entry.end_unwanted();
                self.failure_at_deadline(id, withdrawn, reads)
            }
            None if reads => Failure::Timeout,
            None => Failure::Unknown,
        };
        self.answer(token, Err(failure), out);
        self.pump(now, id, out);
    }

    /// The split that clients rely on: only what was never sent is called never applied.
    fn failure_at_deadline(&self, id: EntryId, withdrawn: Withdrawn, reads: bool) -> Failure {
        let Some(entry) = self.entries.get(id) else { return Failure::Unknown };
        let last = entry.last_failure.as_ref();
        let was = |what: fn(&RoundFailure) -> bool| last.is_some_and(what);
        match withdrawn {
            Withdrawn::InDoubt if !reads => Failure::Unknown,
            _ if was(|last| last.skew_limit_ms.is_some()) => Failure::ClockSkew,
            _ if !self.has_usable_quorum(&entry.replicas) => Failure::NoQuorum,
            _ if reads => Failure::Timeout,
            _ if was(|last| last.outbid.is_some()) => Failure::Contention,
            _ if was(|last| last.overloaded) => Failure::Overloaded,
            _ => Failure::NoQuorum,
        }
    }

    fn on_timer(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        let Some(entry) = self.entries.get(id) else { return };
        let due = |at_us: u64| at_us <= now.mono_us;
        let round_due = entry.round.as_ref().is_some_and(|running| due(running.hedge_at_us));
        let read_due = entry.read.as_ref().is_some_and(|running| due(running.hedge_at_us));
        if round_due || read_due {
            self.hedge(now, id, out);
        }
        self.pump(now, id, out);
    }

    /// Asks further replicas for whatever waits on a key, and refuses what has waited too long for a majority.
    pub(super) fn hedge(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        let again_at_us = now.mono_us + self.hedge_after_us();
        let Some(entry) = self.entries.get(id) else { return };
        let accepting_until_us = now.mono_us + self.look_after_us(&entry.replicas);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let ballot = entry.round.as_mut().map(|running| {
            let accepting = running.round.is_accepting();
            running.hedge_at_us = if accepting { accepting_until_us } else { again_at_us };
            running.round.ballot()
        });
        let serial = entry.read.as_mut().map(|running| {
            running.hedge_at_us = again_at_us;
            running.serial
        });
        let sent = out.sends.len();
        if let Some(ballot) = ballot {
            self.with_round(now, id, ballot, out, |round, _, usable, output| round.widen(usable, output));
        }
        if let Some(serial) = serial {
            self.with_read(now, id, serial, out, |read, usable, sends| read.widen(usable, sends));
        }
        self.stats.hedges += u64::from(out.sends.len() > sent);
        self.refuse_without_quorum(now, id, out);
    }

    /// How long Accepts are awaited before those who wait behind them, or with them, are looked at.
    pub(super) fn look_after_us(&self, replicas: &ReplicaSet) -> u64 {
        if self.has_usable_quorum(replicas) { self.config.patience_us } else { self.config.confirmation_us }
    }

    /// How long to wait for an answer before a further replica is asked.
    pub(super) fn hedge_after_us(&self) -> u64 {
        self.pace.patience_us(self.config.hedge_us_min, self.config.hedge_us_max)
    }

    /// Refuses what was never sent and can't be served: at once where too few nodes can be reached, and after some
    /// patience where too few are counted on.
    pub(super) fn refuse_without_quorum(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        let Some(entry) = self.entries.get(id) else { return };
        if self.has_usable_quorum(&entry.replicas) {
            return;
        }
        let hopeless = !self.has_reachable_quorum(now, &entry.replicas);
        let waited_us = |token: &Token| {
            self.clients.get(token.0).map_or(0, |client| now.mono_us.saturating_sub(client.submitted_us))
        };
        let refused: Vec<Token> = (entry.never_sent())
            .filter(|token| hopeless || waited_us(token) >= self.config.patience_us)
            .collect();
        let Some(entry) = self.entries.get_mut(id) else { return };
        for token in &refused {
            entry.withdraw(*token);
        }
        entry.end_unwanted();
        for token in refused {
            self.answer(token, Err(Failure::NoQuorum), out);
        }
    }

    /// Whether requests may count on a majority.
    pub(super) fn has_usable_quorum(&self, replicas: &ReplicaSet) -> bool {
        replicas.is_quorum(|node| !self.unusable.contains(&node))
    }

    /// Whether a majority may answer: not where too few nodes are left of those that have not been unreachable for a
    /// while.
    pub(super) fn has_reachable_quorum(&self, now: Now, replicas: &ReplicaSet) -> bool {
        let given_up = |since_us: &u64| now.mono_us.saturating_sub(*since_us) >= self.config.confirmation_us;
        replicas.is_quorum(|node| !self.unreachable.get(&node).is_some_and(given_up))
    }
}
