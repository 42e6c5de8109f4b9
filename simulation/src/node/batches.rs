//! Batches of requests: dealt to the shards, answered as one when all of it is durable.

use std::collections::BTreeMap;

use bytes::Bytes;
use roundtable_common::wire::{Refused, decode_requests, encode_replies};
use roundtable_consensus::{Key, Register, Rejection, Reply, ReplyBody, Request, RequestBody, Rng};

use super::NodeOutput;
use super::process::{Process, Surroundings};
use super::shard::{Answered, Job, Shard, hash};
use crate::exchange::Exchange;
use crate::report::Mishap;
use crate::variant::Variant;

/// A batch under way.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) exchange: Exchange,
    replies: Vec<Option<Reply>>,
    /// The registers that it asks to accept, by the place of the request.
    accepts: BTreeMap<usize, (Key, Register)>,
    /// Jobs that have not been answered.
    jobs_left: usize,
}

impl Process {
    pub(super) fn take_batch(
        &mut self,
        around: &Surroundings,
        exchange: Exchange,
        body: Bytes,
        rng: &mut Rng,
        out: &mut NodeOutput,
    ) -> Result<(), Refused> {
        let decoded = decode_requests(body).map_err(|error| Refused::Malformed { detail: error.to_string() });
        let (target, requests) = decoded?;
        let view = self.admit(around, &target)?;
        requests.iter().try_for_each(|request| view.check(request))?;
        let epoch = view.target().epoch;
        let refusals: Vec<_> = requests
            .iter()
            .map(|request| (!view.holds(request.partition)).then_some(Rejection::NotMine(epoch)))
            .collect();
        if self.variant == Variant::PromisesForgotten && self.is_idle() && rng.up_to(9) == 0 {
            self.shards.iter_mut().for_each(Shard::forget_promises);
        }
        self.deal(exchange, requests.into_iter().zip(refusals), around.now_ms, out);
        Ok(())
    }

    /// Splits a batch by the keys' hashes.
    fn deal(
        &mut self,
        exchange: Exchange,
        requests: impl Iterator<Item = (Request, Option<Rejection>)>,
        now_ms: u64,
        out: &mut NodeOutput,
    ) {
        let number = self.next_batch;
        self.next_batch += 1;
        let mut batch = Batch { exchange, replies: Vec::new(), accepts: BTreeMap::new(), jobs_left: 0 };
        let mut parts: Vec<Vec<(usize, Request)>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (place, (request, refusal)) in requests.enumerate() {
            if let RequestBody::Accept { register, .. } = &request.body {
                batch.accepts.insert(place, (request.key.clone(), Register::clone(register)));
            }
            batch.replies.push(refusal.map(|rejection| rejected(request.id, rejection)));
            let key_hash = u128::from(hash(self.hash_seed, request.key.as_bytes()));
            let shard = usize::try_from((key_hash * self.shards.len() as u128) >> 64).unwrap_or(0);
            if let (None, Some(part)) = (refusal, parts.get_mut(shard)) {
                part.push((place, request));
            }
        }
        for (shard, requests) in self.shards.iter_mut().zip(parts) {
            if requests.is_empty() {
                continue;
            }
            batch.jobs_left += 1;
            if let Err(job) = shard.push(Job { batch: number, requests }) {
                batch.jobs_left -= 1;
                out.mishaps.push(Mishap::ShardOverloaded);
                for (place, request) in job.requests {
                    if let Some(reply) = batch.replies.get_mut(place) {
                        *reply = Some(rejected(request.id, Rejection::Overloaded));
                    }
                }
            }
        }
        out.work |= batch.jobs_left > 0;
        self.batches.insert(number, batch);
        self.answer_if_complete(number, now_ms, out);
    }

    pub(super) fn release(&mut self, released: Vec<Answered>, now_ms: u64, out: &mut NodeOutput) {
        for Answered { batch: number, replies } in released {
            let Some(batch) = self.batches.get_mut(&number) else { continue };
            batch.jobs_left -= 1;
            for (place, reply) in replies {
                if let Some(slot) = batch.replies.get_mut(place) {
                    *slot = Some(reply);
                }
            }
            self.answer_if_complete(number, now_ms, out);
        }
    }

    fn answer_if_complete(&mut self, number: u64, now_ms: u64, out: &mut NodeOutput) {
        if self.batches.get(&number).is_none_or(|batch| batch.jobs_left > 0) {
            return;
        }
        let Some(mut batch) = self.batches.remove(&number) else { return };
        let replies: Vec<Reply> = batch.replies.into_iter().flatten().collect();
        for (place, reply) in replies.iter().enumerate() {
            match &reply.body {
                ReplyBody::Accepted { .. } => out.accepted.extend(batch.accepts.remove(&place)),
                ReplyBody::Rejected(Rejection::DiskReserve) => out.mishaps.push(Mishap::RefusedForSpace),
                ReplyBody::Rejected(Rejection::ClockSkew { .. }) => {
                    out.mishaps.push(Mishap::RefusedForClock);
                }
                _ => {}
            }
        }
        out.answers.push((batch.exchange, encode_replies(&self.sender(), now_ms, &replies)));
    }
}

fn rejected(id: u64, rejection: Rejection) -> Reply {
    Reply { id, done: true, body: ReplyBody::Rejected(rejection) }
}
