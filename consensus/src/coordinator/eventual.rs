//! Eventual reads: any replica's word, from one replica after another.

use super::{Coordinator, Effects, Failure, Now, Purpose};
use crate::ids::NodeIndex;
use crate::message::{ReplyBody, RequestBody};
use crate::operation::Answer;
use crate::round::Token;

impl Coordinator {
    pub(super) fn ask_eventual(&mut self, now: Now, token: Token, out: &mut Effects) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        let Some(eventual) = &mut client.eventual else { return };
        let unusable = &self.unusable;
        let (first, last): (Vec<NodeIndex>, Vec<NodeIndex>) =
            eventual.replicas.members().iter().partition(|node| !unusable.contains(node));
        let Some(node) = first.into_iter().chain(last).nth(eventual.asked) else {
            self.answer(token, Err(Failure::NoQuorum), out);
            return;
        };
        eventual.asked += 1;
        let (key, partition) = (client.key.clone(), eventual.partition);
        let done = !eventual.replicas.is_joint();
        let body = RequestBody::Read { want_value: true };
        self.send(now, (node, key, partition, done), Purpose::Eventual(token), body, out);
    }

    pub(super) fn on_eventual(&mut self, now: Now, token: Token, body: ReplyBody, out: &mut Effects) {
        match body {
            ReplyBody::State(register) => {
                self.answer(token, Ok(Answer::State(Box::new(register.without_history()))), out);
            }
            _ => self.ask_eventual(now, token, out),
        }
    }
}
