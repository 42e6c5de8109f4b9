//! How a coordinator drives rounds: starting them, acting on how they end, trying again.

use std::sync::Arc;

use super::entries::EntryId;
use super::entry::RunningRound;
use super::{Coordinator, Effects, Failure, Now, Purpose, Route};
use crate::ballot::{Ballot, Hlc};
use crate::ids::NodeIndex;
use crate::message::RequestBody;
use crate::quorum::ReplicaSet;
use crate::round::{HeadStart, Progress, Round, RoundFailure, RoundOutput, RoundPlan, Slot, Step};

impl Coordinator {
    /// Starts the next round of a key, if operations wait and nothing stands in its way.
    pub(super) fn start_round(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let paused = entry.retry_at_us.is_some_and(|at_us| at_us > now.mono_us);
        if entry.round.is_some() || entry.queue.is_empty() || paused {
            return;
        }
        entry.retry_at_us = None;
        if entry.defer_plain_reads() {
            return;
        }
        let slots = entry.take_slots(self.config.slots_per_round_max);
        if slots.len() > 1 {
            self.stats.operations_combined += slots.len() as u64;
        }
        let birth =
            slots.iter().filter_map(|slot| slot.proposal.operation.client_key.map(|key| key.birth)).max();
        let ballot = self.clock.next(now.wall_ms, birth.unwrap_or(Hlc(0)));
        let next = self.clock.next(now.wall_ms, Hlc(0));
        let plan = RoundPlan {
            ballot,
            replicas: Arc::clone(&entry.replicas),
            limits: self.config.history,
            slots,
            want_value: std::mem::take(&mut entry.want_value),
            no_room: std::mem::take(&mut entry.no_room),
            next: (next.proposer == ballot.proposer).then_some(next.hlc),
            guesses: self.head_starts.guesses.may_try(),
        };
        self.stats.rounds += 1;
        let head_start = self.head_starts.take(&entry.key, &entry.replicas);
        let mut output = RoundOutput::default();
        let (round, on_guess) = self.begin(now, plan, head_start, &mut output);
        let ballot = round.ballot();
        let hedge_at_us = now.mono_us + self.hedge_after_us();
        if let Some(entry) = self.entries.get_mut(id) {
            entry.round = Some(RunningRound { round, hedge_at_us, on_guess });
        }
        self.send_round(now, id, ballot, output.sends, out);
    }

    /// Begins a round at its Accept, if the last one left a head start that still counts, or at its Prepare. Tells
    /// whether that rests on a guess.
    ///
    /// Without a majority to count on it begins at its Prepare: an operation whose Accept reaches a minority is in
    /// doubt, one whose Prepare does can still be refused.
    fn begin(
        &mut self,
        now: Now,
        plan: RoundPlan,
        head_start: Option<HeadStart>,
        output: &mut RoundOutput,
    ) -> (Round, bool) {
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        let now_ms = self.clock.now_ms(now.wall_ms);
        let has_quorum = self.has_usable_quorum(&plan.replicas);
        let current = head_start.filter(|head_start| {
            let is_ours = head_start.ballot.proposer == self.clock.proposer();
            has_quorum && is_ours && head_start.is_current(now_ms)
        });
        let Some(head_start) = current else { return (Round::start(plan, usable, output), false) };
        match Round::start_at_accept(plan, &head_start, now_ms, usable, output) {
            Ok(round) => {
                self.stats.one_trip_rounds += 1;
                if head_start.guessed {
                    self.head_starts.guesses.was_useful();
                }
                (round, head_start.guessed)
            }
            Err(plan) => (Round::start(plan, usable, output), false),
        }
    }

    /// Keeps what a chosen round leaves for the key's next one.
    fn keep_head_start(&mut self, now: Now, id: EntryId, replicas: Arc<ReplicaSet>, head_start: HeadStart) {
        let Some(entry) = self.entries.get(id) else { return };
        let now_ms = self.clock.now_ms(now.wall_ms);
        if head_start.is_current(now_ms) {
            let bytes_max = self.config.head_starts_bytes_max;
            self.head_starts.insert(now_ms, &entry.key, replicas, head_start, bytes_max);
        }
    }

    /// Lets the round at `ballot` take an event, then acts on how far it came.
    pub(super) fn with_round(
        &mut self,
        now: Now,
        id: EntryId,
        ballot: Ballot,
        out: &mut Effects,
        event: impl FnOnce(&mut Round, u64, &dyn Fn(NodeIndex) -> bool, &mut RoundOutput) -> Progress,
    ) {
        let now_ms = self.clock.now_ms(now.wall_ms);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(running) = entry.round.as_mut().filter(|running| running.round.ballot() == ballot) else {
            return;
        };
        let mut output = RoundOutput::default();
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        let progress = event(&mut running.round, now_ms, &usable, &mut output);
        // With the replicas that have promised: the key's may be others by now.
        let head_start =
            running.round.take_head_start().map(|left| (Arc::clone(running.round.replicas()), left));
        self.stats.one_trip_answers += output.early.len() as u64;
        self.send_round(now, id, ballot, output.sends, out);
        for (token, answer) in output.early {
            self.answer(token, Ok(answer), out);
        }
        match progress {
            Progress::Running => {}
            Progress::Chosen(answers) => {
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.round = None;
                    entry.retries = 0;
                    entry.last_failure = None;
                }
                if let Some((replicas, head_start)) = head_start {
                    self.keep_head_start(now, id, replicas, head_start);
                }
                for (token, answer) in answers {
                    self.answer(token, Ok(answer), out);
                }
            }
            Progress::Failed { slots, reason } => self.on_round_failed(now, id, slots, &reason, out),
        }
        self.pump(now, id, out);
    }

    fn on_round_failed(
        &mut self,
        now: Now,
        id: EntryId,
        mut slots: Vec<Slot>,
        reason: &RoundFailure,
        out: &mut Effects,
    ) {
        self.stats.rounds_failed += 1;
        if let Some(told) = reason.outbid {
            self.stats.rounds_outbid += 1;
            let running = self.entries.get(id).and_then(|entry| entry.round.as_ref());
            if running.is_some_and(|running| running.on_guess) {
                self.head_starts.guesses.was_refused();
            }
            self.clock.outbid(now.wall_ms, told);
        }
        if let Some(limit_ms) = reason.skew_limit_ms {
            self.stats.clock_pull_backs += 1;
            self.clock.pull_back(now.wall_ms, limit_ms);
        }
        slots.retain(|slot| self.clients.get(slot.token.0).is_some());
        let mut refused = Vec::new();
        slots.retain(|slot| match self.hopeless(id, slot, reason) {
            Some(failure) => {
                refused.push((slot.token, failure));
                false
            }
            None => true,
        });
        for (token, failure) in refused {
            self.answer(token, Err(failure), out);
        }
        let no_room = !slots.is_empty() && self.is_full(id, reason);
        let pause_us = self.pause_us(id, reason);
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.round = None;
        entry.retries += 1;
        entry.want_value |= reason.value_moved;
        entry.no_room = no_room;
        entry.retry_at_us = Some(now.mono_us + pause_us);
        entry.last_failure = Some(reason.clone());
        entry.put_back(slots);
        self.refuse_without_quorum(now, id, out);
    }

    /// How long to wait before the next round: random, within a bound that doubles with each failure. The first time
    /// that only the value's bytes were missing there is no rival to give way to.
    fn pause_us(&mut self, id: EntryId, reason: &RoundFailure) -> u64 {
        let retries = self.entries.get(id).map_or(0, |entry| entry.retries);
        if reason.value_moved && retries == 0 {
            return 0;
        }
        // Some of its Accepts are stored at each try, and it is not contention that it fails of.
        let running = self.entries.get(id).and_then(|entry| entry.round.as_ref());
        if !reason.disk_low.is_empty() && running.is_some_and(|running| running.round.has_no_room()) {
            return self.config.patience_us;
        }
        let bound_us = self.config.backoff_us_min.saturating_mul(1 << retries.min(16));
        self.rng.up_to(bound_us.min(self.config.backoff_us_max)).max(1)
    }

    /// Why an operation that was never sent need not be tried again.
    fn hopeless(&self, id: EntryId, slot: &Slot, reason: &RoundFailure) -> Option<Failure> {
        let operation = &slot.proposal.operation;
        if !slot.proposal.attempts.is_empty() {
            return None;
        }
        // Nobody takes the operation before that time comes, and every other one of its round is refused with it.
        let born_ms = operation.client_key.map(|client_key| client_key.birth.millis());
        if born_ms.zip(reason.skew_limit_ms).is_some_and(|(born_ms, limit_ms)| born_ms > limit_ms) {
            return Some(Failure::ClockSkew);
        }
        (operation.change.grows() && self.is_full(id, reason)).then_some(Failure::DiskReserve)
    }

    /// Whether no majority has room for what grows the data.
    fn is_full(&self, id: EntryId, reason: &RoundFailure) -> bool {
        let Some(entry) = self.entries.get(id) else { return false };
        let has_room = |node| !self.unusable.contains(&node) && !reason.disk_low.contains(&node);
        !reason.disk_low.is_empty() && !entry.replicas.is_quorum(has_room)
    }

    fn send_round(
        &mut self,
        now: Now,
        id: EntryId,
        ballot: Ballot,
        sends: Vec<(NodeIndex, RequestBody)>,
        out: &mut Effects,
    ) {
        let Some(entry) = self.entries.get(id) else { return };
        let accepting_until_us = now.mono_us + self.look_after_us(&entry.replicas);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(running) = &mut entry.round else { return };
        if running.round.is_accepting() {
            running.hedge_at_us = accepting_until_us;
        }
        let key = entry.key.key.clone();
        let route = Route { partition: entry.partition, done: !running.round.replicas().is_joint() };
        for (node, body) in sends {
            let step = match body {
                RequestBody::Accept { .. } => Step::Accept,
                RequestBody::Fetch { .. } => Step::Fetch,
                RequestBody::Prepare { .. } | RequestBody::Read { .. } => Step::Prepare,
            };
            self.send(now, node, key.clone(), route, Purpose::Round(id, ballot, step), body, out);
        }
    }
}
