//! Batches: what waits for a node leaves together, and what comes back goes to the coordinators that asked.

use std::sync::Arc;

use bytes::Bytes;
use roundtable_common::wire::{Refused, decode_replies, encode_requests};
use roundtable_consensus::{Key, Lane, NodeIndex, Now, Register, Reply, Request, RequestBody};

use super::RouterOutput;
use super::service::{Pending, Service};
use crate::exchange::{Path, Post};

/// A batch without an answer for this long is lost.
const BATCH_TIMEOUT_US: u64 = 1_000_000;

impl Service {
    /// Lets every batch leave that may, as natural batching has it.
    pub(super) fn pump(&mut self, now: Now, next_id: &mut u64, out: &mut RouterOutput) {
        for (pending, post) in std::mem::take(&mut self.unnumbered) {
            *next_id += 1;
            self.pending.insert(*next_id, pending);
            out.posts.push(Post { id: *next_id, ..post });
        }
        for (node, link) in (0..).map(NodeIndex).zip(&mut self.links) {
            for lane in [Lane::Quick, Lane::Durable] {
                while let Some(items) = link.outbox(lane).take() {
                    self.counts.batches_shared += u64::from(items.len() > 1);
                    let (batch, _) = link.health.batch_sent(now.mono_us, lane);
                    let sent = items.iter().map(|item| (item.shard, item.request.id)).collect();
                    let requests: Vec<Request> = items.into_iter().map(|item| item.request).collect();
                    *next_id += 1;
                    self.pending.insert(*next_id, Pending::Batch { node, lane, batch, sent });
                    out.posts.push(Post {
                        id: *next_id,
                        node: usize::from(node.0),
                        path: Path::Batch,
                        body: encode_requests(&link.target, &requests),
                        timeout_us: BATCH_TIMEOUT_US,
                        accepts: requests.into_iter().filter_map(accepted).collect(),
                    });
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a batch, its answer, and where what follows goes")]
    pub(super) fn on_batch(
        &mut self,
        now: Now,
        node: NodeIndex,
        lane: Lane,
        batch: u64,
        sent: &[(usize, u64)],
        answer: Option<Bytes>,
        out: &mut RouterOutput,
    ) {
        let Some(link) = self.links.get_mut(usize::from(node.0)) else { return };
        link.outbox(lane).returned();
        let carried =
            answer.and_then(|body| decode_replies(body).ok()).map(|it| it.from_target(&link.target));
        match carried {
            Some(Ok((node_ms, replies))) => {
                self.judge(now, node, out, |health| health.batch_answered(now.mono_us, batch));
                self.on_replies(now, node, node_ms, sent, replies, out);
            }
            Some(Err(Refused::Overloaded)) => {
                self.judge(now, node, out, |health| health.batch_answered(now.mono_us, batch));
                self.on_lost(now, node, sent, out);
            }
            Some(Err(refused)) => {
                let why = refused.to_string();
                self.judge(now, node, out, |health| health.batch_refused(now.mono_us, batch, why));
                self.on_lost(now, node, sent, out);
                self.give_up_queues(now, node, out);
            }
            None => {
                let why = "lost".to_owned();
                self.judge(now, node, out, |health| health.batch_lost(now.mono_us, batch, why));
                self.on_lost(now, node, sent, out);
                self.give_up_queues(now, node, out);
            }
        }
    }

    /// Hands a batch's replies to the coordinators that asked. A request without a proper reply counts as lost.
    fn on_replies(
        &mut self,
        now: Now,
        node: NodeIndex,
        node_ms: u64,
        sent: &[(usize, u64)],
        replies: Vec<Reply>,
        out: &mut RouterOutput,
    ) {
        let mut replies = replies.into_iter();
        for (shard, id) in sent {
            let reply = replies.next().filter(|reply| reply.id == *id);
            let hybrid_ms = self.coordinators.get(*shard).map_or(0, |coordinator| coordinator.hybrid_ms(now));
            let variant = self.variant;
            self.event(now, *shard, out, |coordinator, effects| match reply {
                Some(mut reply) => {
                    variant.heard(hybrid_ms, &mut reply.body);
                    coordinator.on_reply(now, node, node_ms, reply, effects);
                }
                None => coordinator.on_lost(now, node, *id, effects),
            });
        }
    }

    fn on_lost(&mut self, now: Now, node: NodeIndex, sent: &[(usize, u64)], out: &mut RouterOutput) {
        for (shard, id) in sent {
            self.event(now, *shard, out, |coordinator, effects| coordinator.on_lost(now, node, *id, effects));
        }
    }

    /// Nothing goes over the link: what waits in its queues is lost.
    fn give_up_queues(&mut self, now: Now, node: NodeIndex, out: &mut RouterOutput) {
        let Some(link) = self.links.get_mut(usize::from(node.0)) else { return };
        let waiting: Vec<_> = link.drain().into_iter().map(|item| (item.shard, item.request.id)).collect();
        self.on_lost(now, node, &waiting, out);
    }
}

fn accepted(request: Request) -> Option<(Key, Register)> {
    match request.body {
        RequestBody::Accept { register, .. } => Some((request.key, Arc::unwrap_or_clone(register))),
        _ => None,
    }
}
