//! The bodies between router and node: batches of 64 in both directions of both phases.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use roundtable_benches::{NOW_MS, accepts, ballot, prepares, register, target};
use roundtable_common::wire::{decode_replies, decode_requests, encode_replies, encode_requests};
use roundtable_consensus::{Reply, ReplyBody};

const BATCH: u64 = 64;

fn wire(c: &mut Criterion) {
    let target = target();
    let promised = |id| ReplyBody::Promised(register(ballot(id), 1024, 2).without_value());
    let replies: Vec<Reply> = (0..BATCH).map(|id| Reply { id, done: true, body: promised(id) }).collect();

    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Elements(BATCH));
    for (name, requests) in [("prepare", prepares(BATCH)), ("accept_1KiB", accepts(BATCH))] {
        group.bench_function(format!("encode_{name}"), |b| b.iter(|| encode_requests(&target, &requests)));
        let body = encode_requests(&target, &requests);
        group.bench_function(format!("decode_{name}"), |b| b.iter(|| decode_requests(body.clone())));
    }
    group.bench_function("encode_promised", |b| b.iter(|| encode_replies(&target, NOW_MS, &replies)));
    let body = encode_replies(&target, NOW_MS, &replies);
    group.bench_function("decode_promised", |b| b.iter(|| decode_replies(body.clone())));
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
