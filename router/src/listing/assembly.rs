//! From a majority's pages to the keys of one page, with a closer look where their folded parts differ.
//!
//! Where the spans of all nodes that were asked are equal, they hold the same tombstones, at the same ballots: those
//! keys are deleted, and there is nothing to tell of them. Where the spans differ, the single registers decide, each by
//! the rule for one key: an absent key is not a tombstone, and two tombstones of different rounds are not the same.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use roundtable_consensus::{Key, KeyRange, PageEnd, PartitionId, Span};

use crate::listing::merge::{Merged, MergedKey, Source, merge};

/// Where single registers must be asked for, tombstones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closer {
    /// The partitions, ascending.
    pub partitions: Vec<PartitionId>,
    /// The keys.
    pub range: KeyRange,
}

impl Closer {
    fn covers(&self, found: &MergedKey) -> bool {
        self.partitions.binary_search(&found.partition).is_ok() && self.range.contains(found.key.as_bytes())
    }
}

/// One page on its way.
#[derive(Debug)]
pub struct Assembly {
    keys: Vec<MergedKey>,
    end: PageEnd,
    reverse: bool,
    keys_max: usize,
    closer: Option<Closer>,
}

impl Assembly {
    /// Merges the pages that a majority of each partition gave for `range`. The page gets at most `keys_max` of the
    /// keys that the listing `wants`; `now_ms` is the hybrid clock by which expiry is judged.
    #[must_use]
    pub fn new(
        sources: Vec<Source>,
        range: &KeyRange,
        reverse: bool,
        now_ms: u64,
        keys_max: usize,
        wants: impl Fn(&Key) -> bool,
    ) -> Self {
        let differing = differing(&sources, range, reverse);
        let Merged { keys, end } = merge(sources, reverse, now_ms);
        let mut assembly = Self { keys, end, reverse, keys_max, closer: None };
        assembly.trim(wants);
        assembly.closer = closer(differing, &assembly.end, reverse);
        assembly
    }

    /// Where single registers must be asked for before the page is known.
    #[must_use]
    pub fn closer(&self) -> Option<&Closer> {
        self.closer.as_ref()
    }

    /// Takes the pages, without anything folded, that a majority gave for [`Self::closer`].
    pub fn look_closer(&mut self, sources: Vec<Source>, now_ms: u64, wants: impl Fn(&Key) -> bool) {
        let Some(closer) = self.closer.take() else { return };
        let Merged { keys, end } = merge(sources, self.reverse, now_ms);
        self.keys.retain(|found| !closer.covers(found));
        self.keys.extend(keys.into_iter().filter(|found| closer.covers(found)));
        self.keys.sort_unstable_by(|a, b| {
            let forward = a.key.cmp(&b.key);
            if self.reverse { forward.reverse() } else { forward }
        });
        if let PageEnd::Through(last) = end
            && self.reaches(&last)
        {
            self.end = PageEnd::Through(last);
        }
        let (end, reverse) = (self.end.clone(), self.reverse);
        self.keys.retain(|found| is_within(&end, &found.key, reverse));
        self.trim(wants);
    }

    /// The page.
    #[must_use]
    pub fn into_merged(self) -> Merged {
        Merged { keys: self.keys, end: self.end }
    }

    fn reaches(&self, key: &Key) -> bool {
        is_within(&self.end, key, self.reverse)
    }

    /// More was found than is wanted: the page ends with the last key that is.
    fn trim(&mut self, wants: impl Fn(&Key) -> bool) {
        self.keys.retain(|found| wants(&found.key));
        if self.keys.len() > self.keys_max {
            self.keys.truncate(self.keys_max);
            if let Some(last) = self.keys.last() {
                self.end = PageEnd::Through(last.key.clone());
            }
        }
    }
}

fn is_within(end: &PageEnd, key: &Key, reverse: bool) -> bool {
    match end {
        PageEnd::Exhausted => true,
        PageEnd::Through(last) if reverse => key >= last,
        PageEnd::Through(last) => key <= last,
    }
}

/// The parts of partitions in which not all sources folded the same.
fn differing(sources: &[Source], range: &KeyRange, reverse: bool) -> Vec<(PartitionId, KeyRange)> {
    let mut asked: HashMap<PartitionId, usize> = HashMap::new();
    let mut seen: HashMap<&Span, usize> = HashMap::new();
    for source in sources {
        source.partitions.iter().for_each(|partition| *asked.entry(*partition).or_default() += 1);
        source.page.spans.iter().for_each(|span| *seen.entry(span).or_default() += 1);
    }
    let mut found = Vec::new();
    for source in sources {
        let mut begins: BTreeMap<PartitionId, Option<Bytes>> = BTreeMap::new();
        for span in &source.page.spans {
            let begin = begins.insert(span.partition, span.end.clone()).flatten();
            if source.partitions.binary_search(&span.partition).is_ok()
                && seen.get(span) != asked.get(&span.partition)
            {
                let end = span.end.clone();
                let (low, high) = if reverse { (end, begin) } else { (begin, end) };
                let part = KeyRange {
                    start: low.unwrap_or_else(|| range.start.clone()),
                    end: high.or_else(|| range.end.clone()),
                };
                found.push((span.partition, part));
            }
        }
    }
    found
}

/// The smallest range that holds all differing parts, as far as the page reaches.
fn closer(differing: Vec<(PartitionId, KeyRange)>, page_end: &PageEnd, reverse: bool) -> Option<Closer> {
    let within = |part: &KeyRange| match page_end {
        PageEnd::Exhausted => true,
        PageEnd::Through(last) if reverse => part.end.as_ref().is_none_or(|end| &end[..] > last.as_bytes()),
        PageEnd::Through(last) => &part.start[..] <= last.as_bytes(),
    };
    let mut parts = differing.into_iter().filter(|(_, part)| within(part));
    let (partition, mut range) = parts.next()?;
    let mut partitions = vec![partition];
    for (partition, part) in parts {
        partitions.push(partition);
        range.start = range.start.min(part.start);
        range.end = range.end.zip(part.end).map(|(a, b)| a.max(b));
    }
    partitions.sort_unstable();
    partitions.dedup();
    if let PageEnd::Through(last) = page_end {
        if reverse {
            range.start = range.start.max(last.bytes().clone());
        } else {
            let behind = Bytes::from([last.as_bytes(), &[0]].concat());
            range.end = Some(range.end.map_or(behind.clone(), |end| end.min(behind)));
        }
    }
    Some(Closer { partitions, range })
}

#[cfg(test)]
mod tests;
