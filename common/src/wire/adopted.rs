//! An adopted configuration: inside a hello, and by itself on disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use roundtable_consensus::{Adopted, ClusterId, Configuration, Epoch, Member, StorageId};

use super::error::WireError;
use super::frame::{self, Kind};
use super::reader::Reader;
use super::target::read_node_id;
use super::writer::Writer;
use crate::placement::{NODES_MAX, WEIGHT_SUM_MAX};

/// Node id of one character, storage id, empty address, no zone, weight.
const MEMBER_BYTES_MIN: usize = 1 + 1 + 16 + 2 + 1 + 4;
const MEMBER_BYTES_USUAL: usize = 64;
/// No data directory has this storage id: one is drawn from 2^128.
const NO_STORAGE: u128 = 0;

/// Makes the body (or the disk record) of an adopted configuration.
#[must_use]
pub fn encode_adopted(adopted: &Adopted) -> Bytes {
    frame::seal(Kind::Adopted, size_hint(adopted), |writer| write(writer, adopted))
}

/// Reads an adopted configuration.
///
/// # Errors
/// When the bytes are not a whole and undamaged one of this format version, or it is not well formed.
#[expect(clippy::needless_pass_by_value, reason = "all decoders of bodies take the body alike")]
pub fn decode_adopted(body: Bytes) -> Result<Adopted, WireError> {
    let (_, mut reader) = frame::open(&body, &[Kind::Adopted], "an adopted configuration")?;
    let adopted = read(&mut reader)?;
    reader.finish()?;
    Ok(adopted)
}

pub(super) fn size_hint(adopted: &Adopted) -> usize {
    32 + adopted.configuration.nodes.len() * MEMBER_BYTES_USUAL
}

/// Every node has a storage id, or the value is not well formed and its reader refuses it.
pub(super) fn write(writer: &mut Writer<'_>, adopted: &Adopted) {
    let configuration = &adopted.configuration;
    writer.u128(adopted.cluster.0);
    writer.u64(configuration.epoch.0);
    writer.u8(configuration.replication_factor);
    writer.u32(configuration.partitions);
    writer.count(configuration.nodes.len());
    for member in &configuration.nodes {
        writer.bytes8(member.id.as_str().as_bytes());
        writer.u128(adopted.storage.get(&member.id).map_or(NO_STORAGE, |storage| storage.0));
        writer.bytes16(member.address.as_bytes());
        writer.u8(member.zone.is_some().into());
        if let Some(zone) = &member.zone {
            writer.bytes8(zone.as_bytes());
        }
        writer.u32(member.weight);
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Adopted, WireError> {
    let cluster = ClusterId(reader.u128("cluster id")?);
    let epoch = Epoch(reader.u64("epoch")?);
    let replication_factor = reader.u8("replication factor")?;
    let partitions = reader.u32("partition count")?;
    let count = reader.count("nodes", NODES_MAX, MEMBER_BYTES_MIN)?;
    let mut nodes = Vec::with_capacity(count);
    let mut storage = BTreeMap::new();
    for _ in 0..count {
        let (member, id) = read_member(reader)?;
        storage.insert(member.id.clone(), id);
        nodes.push(member);
    }
    let weight_sum = nodes.iter().map(|member| u64::from(member.weight)).sum::<u64>();
    if weight_sum > WEIGHT_SUM_MAX.into() {
        let accepted = "a sum within the ring's limit";
        return Err(WireError::Field { field: "node weights", found: weight_sum, accepted });
    }
    let configuration = Configuration { epoch, replication_factor, partitions, nodes };
    let adopted = Adopted { configuration, storage, cluster };
    if adopted.is_well_formed() { Ok(adopted) } else { Err(WireError::Text { field: "configuration" }) }
}

fn read_member(reader: &mut Reader<'_>) -> Result<(Member, StorageId), WireError> {
    let id = read_node_id(reader, "node id")?;
    let storage = StorageId(reader.u128("storage id")?);
    if storage.0 == NO_STORAGE {
        return Err(WireError::Field { field: "storage id", found: 0, accepted: "any but zero" });
    }
    let address = reader.text16("node address")?.to_owned();
    let zone =
        if reader.flag("node has a zone")? { Some(reader.text8("node zone")?.to_owned()) } else { None };
    let weight = reader.u32("node weight")?;
    Ok((Member { id, address, zone, weight }, storage))
}
