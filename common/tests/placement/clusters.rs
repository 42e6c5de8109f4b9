//! Configurations to place.

use roundtable_consensus::{Configuration, Epoch, Member};

/// A cluster of 256 partitions from one word per node: `id`, then `@zone` and `*weight` where wanted.
pub(crate) fn cluster(replication_factor: u8, nodes: &str) -> Configuration {
    Configuration {
        epoch: Epoch(1),
        replication_factor,
        partitions: 256,
        nodes: nodes.split_whitespace().map(member).collect(),
    }
}

fn member(word: &str) -> Member {
    let (word, weight) =
        word.split_once('*').map_or((word, 1), |(word, weight)| (word, weight.parse().unwrap()));
    let (id, zone) = word.split_once('@').map_or((word, None), |(id, zone)| (id, Some(zone.to_owned())));
    Member { id: id.parse().unwrap(), address: format!("{id}.example:7411"), zone, weight }
}
