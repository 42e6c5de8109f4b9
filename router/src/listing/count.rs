//! Counts the keys of a range without listing them.
//!
//! Each node folds what it holds, values included, into spans. Where the spans of a majority are equal, their values
//! are counted as they are; where they differ, the keys are listed and counted one by one. Values that have expired are
//! read like those of a listing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use roundtable_consensus::{
    Answer, Failure, Fold, Key, KeyRange, NodeIndex, PageEnd, PartitionId, ReplicaSet, ScanRequest, Span,
    Task,
};
use tokio::task::JoinSet;

use crate::http::{Code, Problem};
use crate::listing::gather::Gather;
use crate::listing::merge::Source;
use crate::listing::request::ListRequest;
use crate::listing::scanner::{READS_MAX, Scanner, key_problem};
use crate::topology::Cluster;

/// Expired values that a node names at once.
const ENTRIES_MAX: u32 = 1_000;
/// Bytes that a node is asked for at once.
const SCAN_BYTES_MAX: u32 = 4 << 20;
/// Keys that are listed at once where spans differ.
const LIST_PAGE_ITEMS: usize = 1_000;

type Partitions = Vec<(PartitionId, Arc<ReplicaSet>)>;

/// How many keys the listing would show.
///
/// # Errors
/// When a majority of a partition does not answer in time, or a key can't be read.
pub async fn count(cluster: &Arc<Cluster>, request: &ListRequest, deadline_us: u64) -> Result<u64, Problem> {
    let partitions: Partitions = match &request.tag {
        Some(tag) => cluster.place(tag).into_iter().collect(),
        None => cluster.partitions().map(|(partition, replicas)| (partition, Arc::clone(replicas))).collect(),
    };
    let mut counter = Counter {
        cluster: Arc::clone(cluster),
        request: request.clone(),
        deadline_us,
        avoided: BTreeSet::new(),
        keys: 0,
    };
    if request.tag.is_some() && !request.prefix_has_tag {
        // Other tags share the partition.
        counter.list(partitions, request.range.clone()).await?;
        return Ok(counter.keys);
    }
    let mut work: Vec<(KeyRange, Partitions)> = vec![(request.range.clone(), partitions)];
    while let Some((range, partitions)) = work.pop() {
        work.extend(counter.step(range, partitions).await?);
    }
    Ok(counter.keys)
}

struct Counter {
    cluster: Arc<Cluster>,
    request: ListRequest,
    deadline_us: u64,
    avoided: BTreeSet<NodeIndex>,
    keys: u64,
}

impl Counter {
    /// Counts what a majority's pages tell of a range. Returns what is left.
    async fn step(
        &mut self,
        range: KeyRange,
        partitions: Partitions,
    ) -> Result<Vec<(KeyRange, Partitions)>, Problem> {
        let scan = ScanRequest {
            partitions: Vec::new(),
            range: range.clone(),
            reverse: false,
            want_values: false,
            fold: Fold::Settled { now_ms: self.cluster.engine().wall_ms() },
            limit: ENTRIES_MAX,
            bytes_max: SCAN_BYTES_MAX,
        };
        let cluster = Arc::clone(&self.cluster);
        let sources =
            Gather::new(&cluster, &partitions, scan).run(&mut self.avoided, self.deadline_us).await?;
        let mut left: BTreeMap<Bytes, Partitions> = BTreeMap::new();
        let mut unsettled = Vec::new();
        for (partition, replicas) in partitions {
            let tally = Tally::of(&sources, partition, &range);
            self.keys += tally.live;
            unsettled.extend(tally.unsettled.into_iter().map(|key| (key, partition, Arc::clone(&replicas))));
            for part in tally.differing {
                self.list(vec![(partition, Arc::clone(&replicas))], part).await?;
            }
            if let Some(start) = tally.left {
                left.entry(start).or_default().push((partition, replicas));
            }
        }
        self.read(unsettled).await?;
        let rest = |(start, partitions)| (KeyRange { start, end: range.end.clone() }, partitions);
        Ok(left.into_iter().map(rest).collect())
    }

    async fn list(&mut self, partitions: Partitions, range: KeyRange) -> Result<(), Problem> {
        let request = ListRequest { range, values: false, reverse: false, ..self.request.clone() };
        let mut scanner = Scanner::of_partitions(Arc::clone(&self.cluster), request, partitions);
        loop {
            let page = scanner.next_page(LIST_PAGE_ITEMS, self.deadline_us).await?;
            self.keys += page.items.len() as u64;
            if page.end == PageEnd::Exhausted {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, keys: Vec<(Key, PartitionId, Arc<ReplicaSet>)>) -> Result<(), Problem> {
        let mut keys = keys.into_iter();
        let mut reads: JoinSet<Result<Answer, Failure>> = JoinSet::new();
        loop {
            for (key, partition, replicas) in keys.by_ref().take(READS_MAX - reads.len()) {
                let (engine, deadline_us) = (Arc::clone(self.cluster.engine()), self.deadline_us);
                reads.spawn(
                    async move { engine.submit(key, partition, replicas, Task::Read, deadline_us).await },
                );
            }
            match reads.join_next().await {
                None => return Ok(()),
                Some(Ok(Ok(Answer::State(register)))) => self.keys += u64::from(register.content.is_live()),
                Some(Ok(Err(failure))) => return Err(key_problem(failure, "read")),
                Some(_) => return Err(Problem::new(Code::Timeout, "a key's read was not settled")),
            }
        }
    }
}

/// What the pages of a majority tell of one partition.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Values in spans that are equal everywhere.
    live: u64,
    /// Keys that only a read of their own can judge.
    unsettled: BTreeSet<Key>,
    /// Parts in which the spans differ.
    differing: Vec<KeyRange>,
    /// Where what was not told begins.
    left: Option<Bytes>,
}

/// What a source folded up to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Folded {
    rows: u64,
    live: u64,
    digest: u128,
}

/// A place in a partition; the end of the range comes after all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Before(Bytes),
    End,
}

impl Place {
    fn bound(&self) -> Option<Bytes> {
        match self {
            Self::Before(bound) => Some(bound.clone()),
            Self::End => None,
        }
    }
}

fn between(last: Option<&Place>, place: &Place, range: &KeyRange) -> KeyRange {
    KeyRange {
        start: last.and_then(Place::bound).unwrap_or_else(|| range.start.clone()),
        end: place.bound().or_else(|| range.end.clone()),
    }
}

impl Tally {
    fn of(sources: &[Source], partition: PartitionId, range: &KeyRange) -> Self {
        let asked = |source: &&Source| source.partitions.binary_search(&partition).is_ok();
        let sources: Vec<&Source> = sources.iter().filter(asked).collect();
        let sums: Vec<BTreeMap<Place, Folded>> =
            sources.iter().map(|source| sums(&source.page.spans, partition)).collect();
        // Each source tells of the partition up to its last span's end; one may not have come to the partition at all.
        let reached: Option<Vec<&Place>> = sums.iter().map(|sums| sums.keys().next_back()).collect();
        let reached = reached.and_then(|places| places.into_iter().min().cloned());
        let (Some(first), Some(reached)) = (sums.first(), reached) else {
            return Self { left: Some(range.start.clone()), ..Self::default() };
        };
        let mut tally = Self::default();
        let mut last: Option<&Place> = None;
        let mut before = vec![Folded::default(); sums.len()];
        for place in first.keys() {
            let now: Option<Vec<Folded>> = sums.iter().map(|sums| sums.get(place).copied()).collect();
            if let Some(now) = now {
                let part = between(last, place, range);
                tally.compare(&before, &now, part);
                (before, last) = (now, Some(place));
            }
        }
        if last.is_none() {
            // No place in common: as far as all tell, key by key.
            tally.differing.push(between(None, &reached, range));
        }
        tally.left = last.unwrap_or(&reached).bound();
        tally.note_entries(&sources, partition, range);
        tally
    }

    fn compare(&mut self, before: &[Folded], now: &[Folded], part: KeyRange) {
        let folded: Vec<Folded> = before.iter().zip(now).map(|(before, now)| now.since(*before)).collect();
        let is_equal = folded.windows(2).all(|pair| pair.first() == pair.last());
        match folded.first() {
            Some(folded) if is_equal => self.live += folded.live,
            _ => self.differing.push(part),
        }
    }

    fn note_entries(&mut self, sources: &[&Source], partition: PartitionId, range: &KeyRange) {
        let told = KeyRange { start: range.start.clone(), end: self.left.clone().or(range.end.clone()) };
        for entry in sources.iter().flat_map(|source| &source.page.entries) {
            let key = entry.key.as_bytes();
            let is_listed = self.differing.iter().any(|part| part.contains(key));
            if entry.partition == partition && told.contains(key) && !is_listed {
                self.unsettled.insert(entry.key.clone());
            }
        }
    }
}

impl Folded {
    fn since(self, before: Self) -> Self {
        Self {
            rows: self.rows - before.rows,
            live: self.live - before.live,
            digest: self.digest.wrapping_sub(before.digest),
        }
    }
}

fn sums(spans: &[Span], partition: PartitionId) -> BTreeMap<Place, Folded> {
    let mut sum = Folded::default();
    let mut sums = BTreeMap::new();
    for span in spans.iter().filter(|span| span.partition == partition) {
        sum.rows += u64::from(span.rows);
        sum.live += u64::from(span.live);
        sum.digest = sum.digest.wrapping_add(span.digest);
        let place = span.end.clone().map_or(Place::End, Place::Before);
        sums.insert(place, sum);
    }
    sums
}

#[cfg(test)]
mod tests;
