//! Reads `cluster.toml`: who the nodes are, how many copies are kept, and how the key space is cut.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

pub use roundtable_consensus::{Configuration, Member};
use roundtable_consensus::{Epoch, NodeId};
use toml::de::DeValue;

use crate::document::{self, Entry, Lines, Section};
use crate::listen::HostPort;
use crate::placement::{NODES_MAX, WEIGHT_SUM_MAX};
use crate::problems::{Problem, Problems};

/// Copies of each key, unless the file says otherwise.
pub const REPLICATION_FACTOR_DEFAULT: u8 = 3;
/// The most copies that a file can ask for.
pub const REPLICATION_FACTOR_MAX: u8 = 15;
/// Slices of the key space, unless the file says otherwise.
pub const PARTITIONS_DEFAULT: u32 = 256;
/// The longest zone name in bytes.
const ZONE_BYTES_MAX: usize = 63;
/// TOML's integers have 63 bits and a sign.
const VERSION_MAX: u64 = i64::MAX as u64;

/// Why a `cluster.toml` was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFileError {
    /// It can't be read.
    #[error("cannot read the cluster file {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its content is not accepted.
    #[error("the cluster file {path} is not accepted: {problems}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Problems,
    },
}

/// Reads and checks a `cluster.toml`.
///
/// # Errors
/// When the file can't be read, or with all that is wrong with it.
pub fn load(path: &Path) -> Result<Configuration, ClusterFileError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| ClusterFileError::Read { path: path.into(), source })?;
    parse(&text).map_err(|problems| ClusterFileError::Invalid { path: path.into(), problems })
}

/// Checks the text of a `cluster.toml`. The nodes come out ascending by id.
///
/// # Errors
/// All that is wrong with it, with lines.
pub fn parse(text: &str) -> Result<Configuration, Problems> {
    let mut problems = Problems::default();
    let (lines, table) = document::parse(text, &mut problems);
    if !problems.is_empty() {
        // What the parser made of a broken file would only give misleading problems on top.
        return Err(problems);
    }
    let mut top = Section::top(&lines, &table);
    let version =
        top.require("version", &mut problems, "a number that every change of the file increases, from 1");
    let version =
        version.and_then(|entry| number_within(&entry, 1..=VERSION_MAX, &mut problems)).unwrap_or(1);
    let replication = top.take("replication_factor");
    let partitions = top
        .take("partitions")
        .map(|entry| number_within(&entry, 1..=Configuration::PARTITIONS_MAX.into(), &mut problems));
    let mut nodes = read_nodes(&lines, &mut top, &mut problems);
    let replication_factor = read_replication_factor(replication.as_ref(), nodes.len(), &mut problems);
    top.finish(&mut problems);
    nodes.sort_by(|one, other| one.id.cmp(&other.id));
    problems.into_result(Configuration {
        epoch: Epoch(version),
        replication_factor,
        partitions: partitions
            .flatten()
            .and_then(|count| count.try_into().ok())
            .unwrap_or(PARTITIONS_DEFAULT),
        nodes,
    })
}

fn number_within(entry: &Entry<'_>, range: RangeInclusive<u64>, problems: &mut Problems) -> Option<u64> {
    let number = entry.number().filter(|number| range.contains(number));
    if number.is_none() {
        entry.refuse(
            problems,
            format!("accepted is a whole number from {} to {}", range.start(), range.end()),
        );
    }
    number
}

fn read_replication_factor(entry: Option<&Entry<'_>>, nodes: usize, problems: &mut Problems) -> u8 {
    let most = u64::from(REPLICATION_FACTOR_MAX);
    let Some(entry) = entry else {
        if (1..REPLICATION_FACTOR_DEFAULT.into()).contains(&nodes) {
            problems.push(Problem {
                line: None,
                key: "replication_factor".into(),
                found: format!("is missing, so it is {REPLICATION_FACTOR_DEFAULT}"),
                accepted: format!("accepted is a whole number from 1 to the number of nodes, {nodes}"),
            });
        }
        return REPLICATION_FACTOR_DEFAULT;
    };
    let Some(factor) = number_within(entry, 1..=most, problems).and_then(|factor| u8::try_from(factor).ok())
    else {
        return REPLICATION_FACTOR_DEFAULT;
    };
    if usize::from(factor) > nodes && nodes > 0 {
        entry.refuse(problems, format!("accepted is a whole number from 1 to the number of nodes, {nodes}"));
    }
    factor
}

fn read_nodes(lines: &Lines<'_>, top: &mut Section<'_>, problems: &mut Problems) -> Vec<Member> {
    let accepted = format!("1 to {NODES_MAX} tables [[nodes]], each with id and address");
    let Some(entry) = top.require("nodes", problems, &accepted) else { return Vec::new() };
    let tables = entry.value.as_array().filter(|tables| (1..=NODES_MAX).contains(&tables.len()));
    let Some(tables) = tables else {
        entry.refuse(problems, format!("accepted are {accepted}"));
        return Vec::new();
    };
    let mut uniqueness = Uniqueness::default();
    let mut nodes = Vec::with_capacity(tables.len());
    for (place, table) in tables.iter().enumerate() {
        let name = format!("nodes[{place}]");
        let DeValue::Table(fields) = table.get_ref() else {
            entry.refuse(problems, format!("{name} is not a table; accepted are {accepted}"));
            continue;
        };
        let section = Section::inner(lines, fields, table.span().start, &name);
        nodes.extend(read_member(section, &mut uniqueness, problems));
    }
    let weight_sum = nodes.iter().map(|member| u64::from(member.weight)).sum::<u64>();
    if weight_sum > WEIGHT_SUM_MAX.into() {
        problems.push(Problem {
            line: Some(entry.line),
            key: "nodes".into(),
            found: format!("have weights with a sum of {weight_sum}"),
            accepted: format!("accepted is a sum of at most {WEIGHT_SUM_MAX}; only their proportions matter"),
        });
    }
    nodes
}

fn read_member(
    mut section: Section<'_>,
    uniqueness: &mut Uniqueness,
    problems: &mut Problems,
) -> Option<Member> {
    let id = section.require("id", problems, "a name such as \"n1\"").and_then(|entry| {
        let id = checked::<NodeId>(&entry, problems)?;
        uniqueness.check_id(&id, &entry, problems);
        Some(id)
    });
    let address = section.require("address", problems, "host:port").and_then(|entry| {
        let address = checked::<HostPort>(&entry, problems)?;
        uniqueness.check_address(&address, &entry, problems);
        Some(address.to_string())
    });
    let zone = section.take("zone").and_then(|entry| read_zone(&entry, problems));
    let weight = section
        .take("weight")
        .map_or(Some(1), |entry| number_within(&entry, 1..=WEIGHT_SUM_MAX.into(), problems))
        .and_then(|weight| u32::try_from(weight).ok())
        .unwrap_or(1);
    section.finish(problems);
    Some(Member { id: id?, address: address?, zone, weight })
}

/// The entry's string as the type that it should be.
fn checked<T: std::str::FromStr<Err: std::fmt::Display>>(
    entry: &Entry<'_>,
    problems: &mut Problems,
) -> Option<T> {
    let Some(text) = entry.value.as_str() else {
        entry.refuse(problems, "accepted is a text in quotes");
        return None;
    };
    text.parse().map_err(|error: T::Err| entry.refuse(problems, error.to_string())).ok()
}

fn read_zone(entry: &Entry<'_>, problems: &mut Problems) -> Option<String> {
    let is_name =
        |zone: &&str| (1..=ZONE_BYTES_MAX).contains(&zone.len()) && !zone.chars().any(char::is_control);
    let zone = entry.value.as_str().filter(is_name);
    if zone.is_none() {
        entry.refuse(problems, format!("accepted is a text of 1 to {ZONE_BYTES_MAX} bytes"));
    }
    zone.map(str::to_owned)
}

/// Where each id and address was first seen.
#[derive(Default)]
struct Uniqueness {
    ids: BTreeMap<NodeId, usize>,
    addresses: BTreeMap<String, usize>,
}

impl Uniqueness {
    fn check_id(&mut self, id: &NodeId, entry: &Entry<'_>, problems: &mut Problems) {
        if let Some(line) = self.ids.get(id) {
            entry.refuse(problems, format!("the node in line {line} has this id; each node needs its own"));
        } else {
            self.ids.insert(id.clone(), entry.line);
        }
    }

    fn check_address(&mut self, address: &HostPort, entry: &Entry<'_>, problems: &mut Problems) {
        let spelled = address.to_string().to_ascii_lowercase();
        if let Some(line) = self.addresses.get(&spelled) {
            entry.refuse(problems, format!("the node in line {line} has this address; each needs its own"));
        } else {
            self.addresses.insert(spelled, entry.line);
        }
    }
}
