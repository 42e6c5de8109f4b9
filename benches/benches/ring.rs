//! From a key to its partition, and from a configuration to every partition's replicas.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use roundtable_benches::key;
use roundtable_common::placement::{Placement, partition_of};
use roundtable_consensus::{Configuration, Epoch, Member, NodeId};

fn configuration(nodes: usize) -> Configuration {
    let member = |n: usize| {
        let id: NodeId =
            format!("n{n:02}").parse().unwrap_or_else(|error| panic!("a sample name is valid: {error}"));
        Member { id, address: format!("10.0.0.{n}:7410"), zone: Some(format!("z{}", n % 3)), weight: 1 }
    };
    Configuration {
        epoch: Epoch(1),
        replication_factor: 3,
        partitions: 256,
        nodes: (1..=nodes).map(member).collect(),
    }
}

fn ring(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    let plain = key(42);
    group.bench_function("partition_of_a_key", |b| b.iter(|| partition_of(&plain, 256)));
    for nodes in [3, 30] {
        group.bench_function(format!("place_256_partitions_on_{nodes}_nodes"), |b| {
            b.iter_batched(|| configuration(nodes), |c| Placement::new(&c), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, ring);
criterion_main!(benches);
