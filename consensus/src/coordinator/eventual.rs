//! Eventual reads: any replica's word. The next one is asked when one is lost, refuses, or becomes unusable; those
//! that are known not to serve are not asked.

use std::sync::Arc;

use super::{Coordinator, Effects, Failure, Now, Purpose, Route, Waits};
use crate::ids::{NodeIndex, PartitionId};
use crate::key::Key;
use crate::message::{ReplyBody, RequestBody};
use crate::operation::Answer;
use crate::quorum::ReplicaSet;
use crate::round::Token;

/// An eventual read on its way from replica to replica.
#[derive(Debug)]
pub(super) struct EventualRead {
    key: Key,
    partition: PartitionId,
    pub(super) replicas: Arc<ReplicaSet>,
    asked: Vec<NodeIndex>,
    /// Those of `asked` whose reply or loss has not been reported.
    waiting: Vec<NodeIndex>,
}

impl EventualRead {
    pub(super) fn new(key: Key, partition: PartitionId, replicas: Arc<ReplicaSet>) -> Self {
        Self { key, partition, replicas, asked: Vec::new(), waiting: Vec::new() }
    }

    /// Whether the last replica asked is this one: the others have been given up before.
    fn counts_on(&self, node: NodeIndex) -> bool {
        self.waiting.last() == Some(&node)
    }
}

impl Coordinator {
    /// Asks the next replica, usable ones first. When none is left to ask or to wait for, it is over.
    pub(super) fn ask_eventual(&mut self, now: Now, token: Token, out: &mut Effects) {
        let Some(Waits::Eventual(eventual)) = self.clients.get_mut(token.0).map(|client| &mut client.waits)
        else {
            return;
        };
        let left =
            || eventual.replicas.members().iter().copied().filter(|node| !eventual.asked.contains(node));
        let unreachable = |node: &NodeIndex| self.unreachable.contains_key(node);
        let next = (left().find(|node| !self.unusable.contains(node)))
            .or_else(|| left().find(|node| !unreachable(node)));
        let Some(node) = next else {
            if eventual.waiting.iter().all(unreachable) {
                self.answer(token, Err(Failure::NoQuorum), out);
            }
            return;
        };
        eventual.asked.push(node);
        eventual.waiting.push(node);
        let key = eventual.key.clone();
        let route = Route { partition: eventual.partition, done: !eventual.replicas.is_joint() };
        let body = RequestBody::Read { want_value: true };
        self.send(now, node, key, route, Purpose::Eventual(token), body, out);
    }

    pub(super) fn on_eventual(
        &mut self,
        now: Now,
        token: Token,
        from: NodeIndex,
        body: ReplyBody,
        out: &mut Effects,
    ) {
        match body {
            ReplyBody::State(register) => {
                self.answer(token, Ok(Answer::State(Box::new(register.without_history()))), out);
            }
            _ => self.on_eventual_lost(now, token, from, out),
        }
    }

    pub(super) fn on_eventual_lost(&mut self, now: Now, token: Token, node: NodeIndex, out: &mut Effects) {
        let Some(Waits::Eventual(eventual)) = self.clients.get_mut(token.0).map(|client| &mut client.waits)
        else {
            return;
        };
        let counted_on = eventual.counts_on(node);
        eventual.waiting.retain(|waiting| *waiting != node);
        if counted_on || eventual.waiting.is_empty() {
            self.ask_eventual(now, token, out);
        }
    }

    /// A node became unusable: what waits for it asks another, and takes its late answer still. A read is over when
    /// it is known that no answer comes.
    pub(super) fn hedge_eventual(&mut self, now: Now, node: NodeIndex, out: &mut Effects) {
        let concerned = |read: &EventualRead| {
            read.counts_on(node) || read.waiting.iter().all(|node| self.unreachable.contains_key(node))
        };
        let mut waiting: Vec<Token> = (self.clients.iter())
            .filter(|(_, client)| matches!(&client.waits, Waits::Eventual(read) if concerned(read)))
            .map(|(number, _)| Token(number))
            .collect();
        waiting.sort_unstable();
        for token in waiting {
            self.ask_eventual(now, token, out);
        }
    }
}
