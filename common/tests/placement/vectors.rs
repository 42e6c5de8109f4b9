//! Pinned placements. A change here would make routers and nodes of different builds disagree on where data lies.

use std::fmt::Write as _;
use std::path::Path;

use roundtable_common::placement::{Placement, partition_of};
use roundtable_consensus::{Key, PartitionId};

use crate::clusters::cluster;

const PINNED: &str = include_str!("../data/placement.txt");

/// Clusters with and without zones and weights.
const CLUSTERS: [(u8, &str); 8] = [
    (1, "n1"),
    (3, "n1 n2 n3"),
    (3, "n1 n2 n3 n4"),
    (3, "n1 n2 n3 n4 n5"),
    (3, "n1*1 n2*2 n3*3 n4*4"),
    (3, "n1@a n2@a n3@b n4@b n5@c"),
    (3, "n1@a*2 n2@a n3@b*2 n4@b n5"),
    (5, "n1@a n2@a n3@a n4@b n5@b n6@b"),
];

/// Keys as bytes, escaped.
const KEYS: [&[u8]; 10] = [
    b"a",
    b"key",
    b"user42",
    b"{user42}/cart",
    b"{user42}/name",
    b"{}x",
    b"a/b/c",
    b"\x00",
    b"\xff\xfe",
    "schl\u{fc}ssel".as_bytes(),
];

fn rendered() -> String {
    let mut out = String::from(
        "# Placement, compared with the code by a test. Never changes: data lies where this says.\n\n\
         # key -> partition of 256, of 65536\n",
    );
    for bytes in KEYS {
        let key = Key::new(bytes).unwrap();
        let (few, many) = (partition_of(&key, 256), partition_of(&key, 65_536));
        writeln!(out, "{key} -> {few} {many}").unwrap();
    }
    for (replication_factor, nodes) in CLUSTERS {
        let placement = Placement::new(&cluster(replication_factor, nodes));
        write!(out, "\n# {nodes}, {replication_factor} replicas: partition -> replica set\n").unwrap();
        for partition in (0..256).map(PartitionId) {
            let replicas: Vec<String> =
                placement.replicas(partition).iter().map(ToString::to_string).collect();
            writeln!(out, "{partition} -> {}", replicas.join(" ")).unwrap();
        }
    }
    out
}

#[test]
fn placement_is_the_pinned_one() {
    let rendered = rendered();
    if rendered != PINNED {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join("placement.txt");
        std::fs::write(&actual, rendered).unwrap();
        panic!("placement changed; what the code says now is in {}", actual.display());
    }
}

#[test]
fn keys_that_share_a_tag_share_the_partition() {
    let of = |key: &'static str| partition_of(&Key::new(key).unwrap(), 256);
    assert_eq!(of("{user42}/cart"), of("user42"));
    assert_eq!(of("{user42}/cart"), of("{user42}/name"));
}
