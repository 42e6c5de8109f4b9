//! A shard's acceptors: decisions per second without disk and network.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use roundtable_benches::{NOW_MS, accepts, prepares};
use roundtable_consensus::{
    Ballot, Conditions, DiskSpace, Handled, Lookup, PromiseLimits, ReadNeed, Replica, ReplicaConfig, Request,
    StripedPromises,
};

const BATCH: u64 = 64;

type SampleReplica = Replica<StripedPromises>;

fn new_replica() -> SampleReplica {
    Replica::new(ReplicaConfig::STANDARD, StripedPromises::new(PromiseLimits::STANDARD), Ballot::ZERO)
}

fn conditions() -> Conditions {
    Conditions { now_ms: NOW_MS, disk: DiskSpace::Enough, purge_floor: Ballot::ZERO, done: true }
}

/// Handles a batch as the storage node does, on keys that the disk does not have.
fn handle(replica: &mut SampleReplica, requests: Vec<Request>) -> Handled {
    let conditions = conditions();
    let mut handled = Handled::default();
    for request in requests {
        let key_hash = request.id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let needed = replica.read_needed(&conditions, &request, key_hash) != ReadNeed::None;
        let lookup = needed.then(|| Lookup { as_of: replica.durable(), stored: None });
        replica.handle(&conditions, request, key_hash, lookup, &mut handled);
    }
    handled
}

fn replica(c: &mut Criterion) {
    let mut group = c.benchmark_group("replica");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("prepare", |bencher| {
        bencher.iter_batched(
            || (new_replica(), prepares(BATCH)),
            |(mut replica, requests)| handle(&mut replica, requests),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("accept_1KiB_after_prepare", |bencher| {
        bencher.iter_batched(
            || {
                let mut replica = new_replica();
                handle(&mut replica, prepares(BATCH));
                (replica, accepts(BATCH))
            },
            |(mut replica, requests)| {
                let handled = handle(&mut replica, requests);
                let last = replica.issued();
                replica.committed(last);
                handled
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, replica);
criterion_main!(benches);
