//! What may be told from the pages of several nodes.

use std::collections::BTreeMap;

use roundtable_consensus::{Content, Key, PageEnd, PartitionId, Register, ScanEntry, ScanPage};

/// One node's page, and what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The partitions that it was asked for, ascending.
    pub partitions: Vec<PartitionId>,
    /// What it answered.
    pub page: ScanPage,
}

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All that were asked report the same accepted ballot: this is the key's register, and it is live.
    Settled(Box<Register>),
    /// The reports differ, or the value has ended: only a read of its own can tell.
    Unsettled,
}

/// One key that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedKey {
    /// The key.
    pub key: Key,
    /// Its partition.
    pub partition: PartitionId,
    /// What is known of it.
    pub verdict: Verdict,
}

/// The part of a listing that a set of pages tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The keys in the listing's order; those that all call deleted are left out.
    pub keys: Vec<MergedKey>,
    /// How far they reach.
    pub end: PageEnd,
}

/// Merges pages of which, for each partition, a majority of its replicas are the sources.
///
/// An absent key is not a tombstone: a key that one node reports and another does not is unsettled. `now_ms` is the
/// hybrid clock by which expiry is judged. Entries that a source was not asked for are ignored.
#[must_use]
pub fn merge(sources: Vec<Source>, reverse: bool, now_ms: u64) -> Merged {
    let end = smallest_end(&sources, reverse);
    let within = |key: &Key| match &end {
        PageEnd::Exhausted => true,
        PageEnd::Through(last) if reverse => key >= last,
        PageEnd::Through(last) => key <= last,
    };
    let mut asked: BTreeMap<PartitionId, usize> = BTreeMap::new();
    let mut found: BTreeMap<Key, (PartitionId, Vec<Register>)> = BTreeMap::new();
    for Source { partitions, page } in sources {
        for partition in &partitions {
            *asked.entry(*partition).or_default() += 1;
        }
        for ScanEntry { partition, key, register } in page.entries {
            if within(&key) && partitions.binary_search(&partition).is_ok() {
                found.entry(key).or_insert_with(|| (partition, Vec::new())).1.push(register);
            }
        }
    }
    let judged = found.into_iter().filter_map(|(key, (partition, registers))| {
        let expected = asked.get(&partition).copied().unwrap_or_default();
        judge(registers, expected, now_ms).map(|verdict| MergedKey { key, partition, verdict })
    });
    let keys = if reverse { judged.rev().collect() } else { judged.collect() };
    Merged { keys, end }
}

/// The first place at which a page ends.
fn smallest_end(sources: &[Source], reverse: bool) -> PageEnd {
    let ends = sources.iter().filter_map(|source| match &source.page.end {
        PageEnd::Exhausted => None,
        PageEnd::Through(key) => Some(key),
    });
    let smallest = if reverse { ends.max() } else { ends.min() };
    smallest.map_or(PageEnd::Exhausted, |key| PageEnd::Through(key.clone()))
}

/// What the reports on one key tell; `None` when it is certainly without a value.
fn judge(registers: Vec<Register>, expected: usize, now_ms: u64) -> Option<Verdict> {
    let agree = registers.len() == expected
        && registers
            .windows(2)
            .all(|pair| pair.first().map(|r| r.accepted) == pair.last().map(|r| r.accepted));
    if !agree || registers.iter().any(|register| register.is_expired(now_ms)) {
        return Some(Verdict::Unsettled);
    }
    let fullest = registers.into_iter().max_by_key(|register| match register.content {
        Content::Tombstone => 0,
        Content::Withheld { .. } => 1,
        Content::Live(_) => 2,
    })?;
    fullest.content.is_live().then_some(Verdict::Settled(Box::new(fullest)))
}

#[cfg(test)]
mod tests;
