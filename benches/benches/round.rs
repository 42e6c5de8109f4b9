//! A router's conduct of one write and one read, all messages included, without network.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use roundtable_benches::{NOW_MS, key, register};
use roundtable_consensus::{
    Ballot, Change, Coordinator, CoordinatorConfig, Effects, Expiry, NodeIndex, Now, Operation, PartitionId,
    Register, ReplicaSet, Reply, ReplyBody, RequestBody, Submit, Task, Token, Value,
};

const KEYS: u64 = 64;

/// Answers every message at once, as replicas in agreement would.
fn settle(coordinator: &mut Coordinator, now: Now, effects: &mut Effects, stored: &Register) -> usize {
    let mut answered = 0;
    loop {
        answered += effects.answers.len();
        effects.answers.clear();
        if effects.sends.is_empty() {
            return answered;
        }
        for (node, request) in std::mem::take(&mut effects.sends) {
            let body = match request.body {
                RequestBody::Prepare { .. } => ReplyBody::Promised(Register::absent(Ballot::ZERO)),
                RequestBody::Accept { .. } => ReplyBody::Accepted { next_promised: false },
                RequestBody::Read { want_value: true } => ReplyBody::State(stored.clone()),
                RequestBody::Read { want_value: false } => ReplyBody::State(stored.without_value()),
                RequestBody::Fetch { .. } => ReplyBody::Fetched(Some(stored.clone())),
            };
            coordinator.on_reply(now, node, NOW_MS, Reply { id: request.id, done: true, body }, effects);
        }
    }
}

fn rounds(c: &mut Criterion) {
    let replicas = Arc::new(ReplicaSet::single((0..3).map(NodeIndex).collect()));
    let value = Value { bytes: Bytes::from(vec![b'x'; 1024]), ..Value::default() };
    let put = Task::Change(Operation::new(Change::Put { value, expiry: Expiry::Never }));
    let stored = register(roundtable_benches::ballot(1), 1024, 2);

    let mut group = c.benchmark_group("coordinator");
    group.throughput(Throughput::Elements(KEYS));
    for (name, task) in [("put_1KiB", put), ("get_1KiB", Task::Read)] {
        let mut coordinator = Coordinator::new(CoordinatorConfig::default(), 1);
        let mut token = 0;
        let mut now = Now { wall_ms: NOW_MS, mono_us: 0 };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut effects = Effects::default();
                for n in 0..KEYS {
                    token += 1;
                    now.mono_us += 1;
                    let submit = Submit {
                        token: Token(token),
                        key: key(n),
                        partition: PartitionId(0),
                        replicas: Arc::clone(&replicas),
                        task: task.clone(),
                        deadline_us: now.mono_us + 5_000_000,
                    };
                    coordinator.submit(now, submit, &mut effects);
                }
                settle(&mut coordinator, now, &mut effects, &stored)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rounds);
criterion_main!(benches);
