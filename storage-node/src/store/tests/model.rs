//! What a store was told, and whether what is there after a power cut is a beginning of it that is long enough.

use std::collections::BTreeMap;
use std::path::Path;

use roundtable_consensus::{Ballot, Key, PartitionId, Register};

use super::super::{Store, StoreOptions};

/// All keys lie in one partition.
pub(super) const PARTITION: PartitionId = PartitionId(3);

#[derive(Debug, Default)]
pub(super) struct Model {
    /// The registers of each commit, in order. The last may be under way.
    pub(super) commits: Vec<Vec<(Key, Register)>>,
    /// So many commits were durable when they were answered.
    pub(super) durable: usize,
    /// The highest horizon that was answered.
    pub(super) horizon: Ballot,
}

impl Model {
    /// Every commit so far is durable.
    pub(super) fn note_durable(&mut self) {
        self.durable = self.commits.len();
    }

    /// The newest register of each key after the first `count` commits.
    pub(super) fn registers(&self, count: usize) -> BTreeMap<&Key, &Register> {
        self.commits.iter().take(count).flatten().map(|(key, register)| (key, register)).collect()
    }

    /// Opens what a power cut left, and tells what is wrong with it.
    pub(super) fn check(&self, image: &Path, options: &StoreOptions) -> Result<(), String> {
        let store = Store::open(image, options).map_err(|error| format!("does not open: {error}"))?;
        let horizon = store.horizon().map_err(|error| error.to_string())?;
        if horizon < self.horizon {
            return Err(format!("the horizon {} was answered, {horizon} is there", self.horizon));
        }
        let count = self.commits_with(store.log_bounds().next_seq - 1)?;
        if count < self.durable {
            return Err(format!("{} commits were durable, {count} are there", self.durable));
        }
        let expected = self.registers(count);
        for key in self.registers(self.commits.len()).into_keys() {
            let found = read(&store, key).map_err(|error| format!("{key} cannot be read: {error}"))?;
            if found.as_ref() != expected.get(key).copied() {
                return Err(format!("{key} after {count} commits: {found:?}"));
            }
        }
        Ok(())
    }

    /// How many commits wrote so many entries of the log together.
    fn commits_with(&self, entries: u64) -> Result<usize, String> {
        let mut written = 0;
        for (count, commit) in self.commits.iter().enumerate() {
            if written == entries {
                return Ok(count);
            }
            written += commit.len() as u64;
        }
        if written == entries {
            return Ok(self.commits.len());
        }
        Err(format!("{entries} entries of the log are no number of whole commits"))
    }
}

fn read(store: &Store, key: &Key) -> Result<Option<Register>, super::super::StoreError> {
    let head = store.read_heads(&[(PARTITION, key)]).pop().unwrap()?;
    match head {
        Some(row) if row.spilled => store.read_value(PARTITION, key, row.register).map(Some),
        Some(row) => Ok(Some(row.register)),
        None => Ok(None),
    }
}
