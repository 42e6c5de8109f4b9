//! How a coordinator drives quorum reads, and hands those to a round that can't be settled without one.

use std::sync::Arc;

use super::entries::EntryId;
use super::entry::RunningRead;
use super::{Coordinator, Effects, Now, Purpose, Route};
use crate::apply::Proposal;
use crate::ids::NodeIndex;
use crate::message::RequestBody;
use crate::operation::{Answer, Change, Operation};
use crate::read::{QuorumRead, ReadProgress};
use crate::register::Register;
use crate::round::Slot;

impl Coordinator {
    /// Starts the next quorum read of a key for everyone who waits for one.
    pub(super) fn start_read(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.read.is_some() || entry.readers.is_empty() {
            return;
        }
        let mut sends = Vec::new();
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        let read = QuorumRead::start(Arc::clone(&entry.replicas), usable, &mut sends);
        self.next_serial += 1;
        let serial = self.next_serial;
        let tokens = std::mem::take(&mut entry.readers);
        let hedge_at_us = now.mono_us + self.hedge_after_us();
        if let Some(entry) = self.entries.get_mut(id) {
            entry.read = Some(RunningRead { read, serial, tokens, hedge_at_us });
        }
        self.send_read(now, id, serial, sends, out);
    }

    /// Lets the read `serial` take an event, then acts on how far it came.
    pub(super) fn with_read(
        &mut self,
        now: Now,
        id: EntryId,
        serial: u64,
        out: &mut Effects,
        event: impl FnOnce(
            &mut QuorumRead,
            &dyn Fn(NodeIndex) -> bool,
            &mut Vec<(NodeIndex, RequestBody)>,
        ) -> ReadProgress,
    ) {
        let now_ms = self.clock.now_ms(now.wall_ms);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(running) = entry.read.as_mut().filter(|running| running.serial == serial) else { return };
        let mut sends = Vec::new();
        let usable = |node: NodeIndex| !self.unusable.contains(&node);
        match event(&mut running.read, &usable, &mut sends) {
            ReadProgress::Running => self.send_read(now, id, serial, sends, out),
            ReadProgress::Agreed(register) if register.is_expired(now_ms) => self.read_by_round(id),
            ReadProgress::Agreed(register) => self.answer_read(id, &register, out),
            ReadProgress::NeedsRound => self.read_by_round(id),
            ReadProgress::Unreachable => self.on_read_unreachable(now, id, out),
        }
        self.pump(now, id, out);
    }

    fn answer_read(&mut self, id: EntryId, register: &Register, out: &mut Effects) {
        let Some(read) = self.entries.get_mut(id).and_then(|entry| entry.read.take()) else { return };
        self.stats.one_trip_answers += read.tokens.len() as u64;
        for token in read.tokens {
            self.answer(token, Ok(Answer::State(Box::new(register.clone()))), out);
        }
    }

    /// Hands the waiting reads to the next round: it settles what the replicas disagree on, or the expiry.
    fn read_by_round(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(read) = entry.read.take() else { return };
        self.stats.read_fallbacks += 1;
        entry.reads_need_round = true;
        for token in read.tokens {
            entry.queue.push_back(Slot { token, proposal: Proposal::new(Operation::new(Change::Read)) });
        }
    }

    fn on_read_unreachable(&mut self, now: Now, id: EntryId, out: &mut Effects) {
        // The next round waits for a majority with the others, under the same rules of patience.
        self.read_by_round(id);
        let pause_us = self.rng.up_to(self.config.backoff_us_min).max(1);
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.round.is_none() {
            entry.retry_at_us = Some(entry.retry_at_us.unwrap_or(0).max(now.mono_us + pause_us));
        }
        self.refuse_without_quorum(now, id, out);
    }

    fn send_read(
        &mut self,
        now: Now,
        id: EntryId,
        serial: u64,
        sends: Vec<(NodeIndex, RequestBody)>,
        out: &mut Effects,
    ) {
        let Some(entry) = self.entries.get(id) else { return };
        let Some(running) = &entry.read else { return };
        let key = entry.key.key.clone();
        let route = Route { partition: entry.partition, done: !running.read.replicas().is_joint() };
        for (node, body) in sends {
            self.send(now, node, key.clone(), route, Purpose::Read(id, serial), body, out);
        }
    }
}
