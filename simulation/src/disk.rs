//! A node's disk as a model: what was synced survives a crash, what was not may or may not.

use std::collections::BTreeMap;

use roundtable_consensus::{Ballot, Key, Register, Stored, Ticket, Write};

/// What one data directory holds durably. One group of writes is one atomic batch of the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    registers: BTreeMap<Key, Stored>,
    horizon: Ballot,
    /// Changes when the directory is lost.
    pub(crate) storage: u32,
}

impl Disk {
    pub(crate) fn read(&self, key: &Key) -> Option<Stored> {
        self.registers.get(key).cloned()
    }

    /// All registers, each with its value.
    pub(crate) fn registers(&self) -> BTreeMap<Key, Register> {
        self.registers.iter().map(|(key, stored)| (key.clone(), stored.register.clone())).collect()
    }

    pub(crate) fn horizon(&self) -> Ballot {
        self.horizon
    }

    /// Makes a group of writes durable, all or nothing.
    pub(crate) fn apply(&mut self, group: &[(Ticket, Write)]) {
        for (_, write) in group {
            match write {
                Write::Horizon(horizon) => self.horizon = self.horizon.max(*horizon),
                Write::Accept { key, register, spills, .. } => {
                    let stored = Stored { register: Register::clone(register), spilled: *spills };
                    self.registers.insert(key.clone(), stored);
                }
            }
        }
    }

    /// The directory is gone; what comes in its place is empty and has another name.
    pub(crate) fn lose(&mut self) {
        *self = Self { storage: self.storage + 1, ..Self::default() };
    }
}
