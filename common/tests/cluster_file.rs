//! `cluster.toml`: what is accepted, and how everything wrong with it is told at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::Path;

use roundtable_common::cluster_file::{self, ClusterFileError};
use roundtable_common::problems::Problems;
use roundtable_consensus::{Configuration, Epoch, Member};

fn member(id: &str, address: &str, zone: Option<&str>, weight: u32) -> Member {
    Member { id: id.parse().unwrap(), address: address.into(), zone: zone.map(Into::into), weight }
}

/// The problems of a file that must have some.
fn problems(text: &str) -> Problems {
    match cluster_file::parse(text) {
        Ok(configuration) => panic!("accepted as {configuration:?}:\n{text}"),
        Err(problems) => problems,
    }
}

/// The only problem of a file, as people see it.
fn only_problem(text: &str) -> String {
    let problems = problems(text);
    assert_eq!(problems.as_slice().len(), 1, "{problems}");
    problems.to_string()
}

/// The shipped cluster file, seen from the package's folder, in which cargo runs its tests.
const SHIPPED: &str = "../config/cluster.toml";

#[test]
fn shipped_cluster_file_is_accepted() {
    let nodes = [("n1", 7411), ("n2", 7412), ("n3", 7413)];
    let expected = Configuration {
        epoch: Epoch(1),
        replication_factor: 3,
        partitions: 256,
        nodes: nodes.map(|(id, port)| member(id, &format!("127.0.0.1:{port}"), None, 1)).into(),
    };
    assert_eq!(cluster_file::load(Path::new(SHIPPED)).unwrap(), expected);
}

#[test]
fn shipped_cluster_file_with_all_its_comments_in_force_is_accepted() {
    let text = std::fs::read_to_string(SHIPPED).unwrap();
    let uncommented = text.replace("\n#zone", "\nzone").replace("\n#weight", "\nweight");
    let configuration = cluster_file::parse(&uncommented).unwrap();
    assert_eq!(configuration.nodes[0].zone.as_deref(), Some("rack-a"));
}

#[test]
fn cluster_file_without_optional_keys_takes_the_defaults_and_sorts_the_nodes() {
    let text = "version = 7\n\
        [[nodes]]\nid = \"c\"\naddress = \"[::1]:1\"\nzone = \"east\"\nweight = 3\n\
        [[nodes]]\nid = \"a\"\naddress = \"host.example:2\"\n\
        [[nodes]]\nid = \"b\"\naddress = \"host.example:3\"\n";
    let expected = Configuration {
        epoch: Epoch(7),
        replication_factor: 3,
        partitions: 256,
        nodes: vec![
            member("a", "host.example:2", None, 1),
            member("b", "host.example:3", None, 1),
            member("c", "[::1]:1", Some("east"), 3),
        ],
    };
    assert_eq!(cluster_file::parse(text), Ok(expected));
}

#[test]
fn cluster_file_problems_are_told_all_at_once_with_lines() {
    let text = "\
version = 0
replication_factor = 16
partitions = 65537
colour = \"red\"

[[nodes]]
id = \"N1\"
address = \"nowhere\"
zone = \"\"
weight = 0

[[nodes]]
adress = \"127.0.0.1:1\"
";
    let told = problems(text).to_string();
    let expected = "\
11 problems:
  line 1: version = 0: accepted is a whole number from 1 to 9223372036854775807
  line 2: replication_factor = 16: accepted is a whole number from 1 to 15
  line 3: partitions = 65537: accepted is a whole number from 1 to 65536
  line 4: colour is unknown: known here are nodes, partitions, replication_factor, version
  line 7: nodes[0].id = \"N1\": \"N1\" is not a node id: 1 to 63 characters of a-z, 0-9, '-', '_' and '.', beginning with a letter or a digit
  line 8: nodes[0].address = \"nowhere\": \"nowhere\" is not an address: host:port with a port of 1 to 65535, such as 127.0.0.1:7400, [::1]:7400 or node-1.example:7400
  line 9: nodes[0].zone = \"\": accepted is a text of 1 to 63 bytes
  line 10: nodes[0].weight = 0: accepted is a whole number from 1 to 256
  line 12: nodes[1].id is missing: a name such as \"n1\"
  line 12: nodes[1].address is missing: host:port
  line 13: nodes[1].adress is unknown: known here are address, id, weight, zone";
    assert_eq!(told, expected);
}

#[test]
fn cluster_file_that_names_a_node_or_an_address_twice_is_refused_with_both_lines() {
    let text = "version = 1\nreplication_factor = 1\n\
        [[nodes]]\nid = \"n1\"\naddress = \"host:1\"\n\
        [[nodes]]\nid = \"n1\"\naddress = \"HOST:1\"\n";
    let told = problems(text).to_string();
    assert!(told.contains("line 7: nodes[1].id = \"n1\": the node in line 4 has this id"), "{told}");
    assert!(
        told.contains("line 8: nodes[1].address = \"HOST:1\": the node in line 5 has this address"),
        "{told}"
    );
}

#[test]
fn cluster_file_with_more_copies_than_nodes_is_refused() {
    let one = "version = 1\n{}[[nodes]]\nid = \"n1\"\naddress = \"host:1\"\n";
    let told = only_problem(&one.replace("{}", "replication_factor = 2\n"));
    assert!(
        told.starts_with("line 2: replication_factor = 2: accepted is a whole number from 1 to"),
        "{told}"
    );
    let told = only_problem(&one.replace("{}", ""));
    assert!(told.starts_with("replication_factor is missing, so it is 3: accepted is"), "{told}");
}

#[test]
fn cluster_file_without_nodes_is_refused() {
    assert!(only_problem("version = 1").contains("nodes is missing"));
    assert!(only_problem("version = 1\nnodes = []").contains("nodes = (an array)"));
    assert!(only_problem("version = 1\nnodes = 3").contains("nodes = 3"));
    assert!(only_problem("version = 1\nnodes = [3]").contains("nodes[0] is not a table"));
}

#[test]
fn cluster_file_with_values_of_other_types_is_refused() {
    let node = "[[nodes]]\nid = \"n1\"\naddress = \"host:1\"\n";
    for (line, shown) in [
        ("version = \"1\"\nreplication_factor = 1", "version = \"1\""),
        ("version = -1\nreplication_factor = 1", "version = -1"),
        ("version = 1.5\nreplication_factor = 1", "version = 1.5"),
        ("version = 1\nreplication_factor = [1]", "replication_factor = (an array)"),
        ("version = 99999999999999999999\nreplication_factor = 1", "version = 99999999999999999999"),
    ] {
        let told = only_problem(&format!("{line}\n{node}"));
        assert!(told.contains(shown), "{told}");
    }
    let told = only_problem("version = 1\nreplication_factor = 1\n[[nodes]]\nid = 1\naddress = \"host:1\"\n");
    assert!(told.contains("nodes[0].id = 1: accepted is a text in quotes"), "{told}");
}

#[test]
fn cluster_file_with_weights_beyond_the_ring_is_refused() {
    let node = |n: u32| format!("[[nodes]]\nid = \"n{n}\"\naddress = \"host:{n}\"\nweight = 129\n");
    let told = only_problem(&format!("version = 1\nreplication_factor = 2\n{}{}", node(1), node(2)));
    assert!(told.contains("sum of 258"), "{told}");
}

#[test]
fn cluster_file_that_is_not_toml_is_refused_with_its_line() {
    let told = problems("version = 1\nnodes = = 3\n");
    assert_eq!(told.as_slice()[0].line, Some(2), "{told}");
    assert!(told.to_string().contains("not TOML"), "{told}");
    assert!(problems("version = 1\nversion = 2\n").to_string().contains("line 2"));
}

#[test]
fn cluster_file_errors_name_the_file() {
    let missing = cluster_file::load(Path::new("/nonexistent/cluster.toml")).unwrap_err();
    assert!(matches!(missing, ClusterFileError::Read { .. }));
    assert!(missing.to_string().contains("/nonexistent/cluster.toml"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let invalid = cluster_file::load(file.path()).unwrap_err();
    assert!(matches!(invalid, ClusterFileError::Invalid { .. }));
    assert!(invalid.to_string().contains(&file.path().display().to_string()), "{invalid}");
}
