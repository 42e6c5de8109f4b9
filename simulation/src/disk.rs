//! A node's disk as a model: what was synced survives a crash, what was not may or may not.
//!
//! One group of writes is one atomic batch of the store. On its way to the disk it is bytes with a checksum, registers
//! in the very encoding that nodes keep them in; a crash leaves any beginning of them, and only a whole one is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use roundtable_common::wire::{decode_register, encode_register};
use roundtable_consensus::{
    Adopted, Ballot, Key, Membership, Register, Rng, StorageId, Stored, Ticket, Write,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::report::Mishap;

/// Something on its way to the disk.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A shard's write.
    Shard(usize, Ticket, Write),
    /// The node is bound to a first configuration.
    Bound(Arc<Adopted>),
    /// The node has adopted it.
    Adopted(Arc<Adopted>),
}

/// What one data directory holds durably.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// The directory's name.
    pub(crate) storage: StorageId,
    registers: BTreeMap<Key, Stored>,
    horizon: Ballot,
    pub(crate) membership: Membership,
    /// How often the directory was lost.
    pub(crate) losses: u32,
}

impl Disk {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            storage: StorageId(u128::from(rng.next_u64())),
            registers: BTreeMap::new(),
            horizon: Ballot::ZERO,
            membership: Membership::default(),
            losses: 0,
        }
    }

    pub(crate) fn read(&self, key: &Key) -> Option<Stored> {
        self.registers.get(key).cloned()
    }

    /// All registers, each with its value, in the order of their keys.
    pub(crate) fn registers(&self) -> impl DoubleEndedIterator<Item = (&Key, &Register)> {
        self.registers.iter().map(|(key, stored)| (key, &stored.register))
    }

    pub(crate) fn horizon(&self) -> Ballot {
        self.horizon
    }

    /// Makes a group of writes durable.
    pub(crate) fn apply(&mut self, group: &[Entry]) {
        for entry in group {
            match entry {
                Entry::Shard(_, _, Write::Horizon(horizon)) => self.horizon = self.horizon.max(*horizon),
                Entry::Shard(_, _, Write::Accept { key, register, spills, .. }) => {
                    let stored = Stored { register: kept(register), spilled: *spills };
                    self.registers.insert(key.clone(), stored);
                }
                Entry::Bound(first) => self.membership.bound = Some(Adopted::clone(first)),
                Entry::Adopted(first) => self.membership.adopted = Some(Adopted::clone(first)),
            }
        }
    }

    /// The machine stops while a group is written: any beginning of its bytes is there. The store finds the group if
    /// it is whole.
    pub(crate) fn crash(&mut self, group: &[Entry], rng: &mut Rng) -> Option<Mishap> {
        if group.is_empty() {
            return None;
        }
        let bytes = seal(group);
        let written = match rng.up_to(3) {
            0 => 0,
            1 => bytes.len(),
            _ => usize::try_from(rng.up_to(bytes.len() as u64)).unwrap_or(0),
        };
        let is_whole = is_whole(bytes.get(..written).unwrap_or_default());
        if is_whole {
            self.apply(group);
        }
        Some(match written {
            0 => Mishap::UnsyncedLost,
            _ if is_whole => Mishap::UnsyncedKept,
            _ => Mishap::WriteTorn,
        })
    }

    /// The directory is gone; what comes in its place is empty and has another name. With `keep_name` it pretends to
    /// be the old one.
    pub(crate) fn lose(&mut self, keep_name: bool, rng: &mut Rng) {
        let empty = Self { losses: self.losses + 1, ..Self::new(rng) };
        *self = if keep_name {
            Self { storage: self.storage, membership: self.membership.clone(), ..empty }
        } else {
            empty
        };
    }
}

/// The group's registers as bytes, behind their length and checksum.
fn seal(group: &[Entry]) -> Vec<u8> {
    let mut payload = Vec::new();
    registers_of(group).for_each(|register| encode_register(register, &mut payload));
    let mut bytes = (payload.len() as u64).to_be_bytes().to_vec();
    bytes.extend(xxh3_64(&payload).to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Whether the bytes are a whole group: its length and checksum are right.
fn is_whole(bytes: &[u8]) -> bool {
    let (Some(length), Some(sum), Some(payload)) = (bytes.get(..8), bytes.get(8..16), bytes.get(16..)) else {
        return false;
    };
    length == (payload.len() as u64).to_be_bytes() && sum == xxh3_64(payload).to_be_bytes()
}

/// A register as the disk gives it back.
fn kept(register: &Register) -> Register {
    let mut bytes = Vec::new();
    encode_register(register, &mut bytes);
    match decode_register(&Bytes::from(bytes)) {
        Ok(register) => register,
        Err(error) => panic!("a register cannot be read back: {error}: {register:?}"),
    }
}

fn registers_of(group: &[Entry]) -> impl Iterator<Item = &Register> {
    group.iter().filter_map(|entry| match entry {
        Entry::Shard(_, _, Write::Accept { register, .. }) => Some(&**register),
        Entry::Shard(_, _, Write::Horizon(_)) | Entry::Bound(_) | Entry::Adopted(_) => None,
    })
}
