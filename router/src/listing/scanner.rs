//! Fetches one page of a listing after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use roundtable_consensus::{
    Answer, Failure, Fold, Key, KeyRange, NodeIndex, PageEnd, PartitionId, Register, ReplicaSet, ScanRequest,
    Task,
};
use tokio::task::JoinSet;

use crate::http::{Code, Problem};
use crate::listing::assembly::Assembly;
use crate::listing::gather::Gather;
use crate::listing::item::Item;
use crate::listing::merge::{Merged, MergedKey, Source, Verdict};
use crate::listing::request::{ListRequest, advance};
use crate::topology::Cluster;

/// Keys that one page looks at.
const KEYS_MAX: usize = 1_000;
/// Entries that a node is asked for at once where single registers are needed, tombstones included.
const CLOSER_ENTRIES_MAX: u32 = 16_384;
/// Bytes that a node is asked for at once.
const SCAN_BYTES_MAX: u32 = 4 << 20;
/// Unsettled keys that are read at once.
pub(super) const READS_MAX: usize = 256;

/// Some items, and how far they reach.
#[derive(Debug)]
pub struct Page {
    /// The items, in the listing's order.
    pub items: Vec<Found>,
    /// The last key that they account for.
    pub end: PageEnd,
}

/// A key with a value.
#[derive(Debug)]
pub struct Found {
    /// The key.
    pub key: Key,
    /// As the listing shows it.
    pub item: Item,
}

/// A listing on its way through its range.
pub struct Scanner {
    cluster: Arc<Cluster>,
    request: ListRequest,
    partitions: Vec<(PartitionId, Arc<ReplicaSet>)>,
    /// Nodes that failed this listing: they are asked last.
    avoided: BTreeSet<NodeIndex>,
    /// Keys that a page looks at, at least. It grows while most of them turn out to have no value any more, as values
    /// do that expired unnoticed.
    keys_min: usize,
}

impl Scanner {
    /// A listing at its start. A tag leads to one partition, everything else to all.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, request: ListRequest) -> Self {
        let partitions = match &request.tag {
            Some(tag) => cluster.place(tag).into_iter().collect(),
            None => {
                cluster.partitions().map(|(partition, replicas)| (partition, Arc::clone(replicas))).collect()
            }
        };
        Self::of_partitions(cluster, request, partitions)
    }

    /// A listing of some partitions alone.
    pub(super) fn of_partitions(
        cluster: Arc<Cluster>,
        request: ListRequest,
        partitions: Vec<(PartitionId, Arc<ReplicaSet>)>,
    ) -> Self {
        Self { cluster, request, partitions, avoided: BTreeSet::new(), keys_min: 1 }
    }

    /// The next items, `items_max` at most, and perhaps none although the range is not exhausted.
    ///
    /// # Errors
    /// When a majority of a partition does not answer in time, or a key can't be read. Nothing was skipped: the same
    /// call may be made again.
    pub async fn next_page(&mut self, items_max: usize, deadline_us: u64) -> Result<Page, Problem> {
        let keys_max = items_max.max(self.keys_min).min(KEYS_MAX);
        let Merged { keys, end } = self.assemble(keys_max, deadline_us).await?;
        let looked_at = keys.len();
        let items = self.settle(keys, deadline_us).await?;
        let has_few = items.len() * 2 < looked_at;
        self.keys_min = if has_few { (keys_max * 2).min(KEYS_MAX) } else { 1 };
        let page = cut(Page { items, end }, items_max);
        if let PageEnd::Through(last) = &page.end {
            advance(&mut self.request.range, last, self.request.reverse);
        }
        Ok(page)
    }

    /// The keys of the next page, and what is known of them.
    async fn assemble(&mut self, keys_max: usize, deadline_us: u64) -> Result<Merged, Problem> {
        let (range, reverse) = (self.request.range.clone(), self.request.reverse);
        let limit = u32::try_from(keys_max).unwrap_or(u32::MAX);
        let partitions = self.partitions.clone();
        let sources = self.ask(&partitions, range.clone(), Fold::Tombstones, limit, deadline_us).await?;
        let now_ms = self.cluster.engine().wall_ms();
        let wants = |key: &Key| self.request.wants(key);
        let mut assembly = Assembly::new(sources, &range, reverse, now_ms, keys_max, wants);
        if let Some(closer) = assembly.closer().cloned() {
            let of_closer =
                |(p, _): &(PartitionId, Arc<ReplicaSet>)| closer.partitions.binary_search(p).is_ok();
            let partitions: Vec<_> = partitions.into_iter().filter(of_closer).collect();
            let sources =
                self.ask(&partitions, closer.range, Fold::Nothing, CLOSER_ENTRIES_MAX, deadline_us).await?;
            let now_ms = self.cluster.engine().wall_ms();
            assembly.look_closer(sources, now_ms, |key| self.request.wants(key));
        }
        Ok(assembly.into_merged())
    }

    async fn ask(
        &mut self,
        partitions: &[(PartitionId, Arc<ReplicaSet>)],
        range: KeyRange,
        fold: Fold,
        limit: u32,
        deadline_us: u64,
    ) -> Result<Vec<Source>, Problem> {
        let scan = ScanRequest {
            partitions: Vec::new(),
            range,
            reverse: self.request.reverse,
            want_values: self.request.values,
            fold,
            limit,
            bytes_max: SCAN_BYTES_MAX,
        };
        Gather::new(&self.cluster, partitions, scan).run(&mut self.avoided, deadline_us).await
    }

    /// Reads what the merge could not settle; the items keep their order.
    async fn settle(&self, keys: Vec<MergedKey>, deadline_us: u64) -> Result<Vec<Found>, Problem> {
        let mut registers: Vec<(Key, Option<Box<Register>>)> = Vec::with_capacity(keys.len());
        let mut unsettled: Vec<(usize, PartitionId, Key)> = Vec::new();
        for (place, MergedKey { key, partition, verdict }) in keys.into_iter().enumerate() {
            match verdict {
                Verdict::Settled(register) => registers.push((key, Some(register))),
                Verdict::Unsettled => {
                    unsettled.push((place, partition, key.clone()));
                    registers.push((key, None));
                }
            }
        }
        for chunk in unsettled.chunks(READS_MAX) {
            let mut reads = JoinSet::new();
            for (place, partition, key) in chunk.iter().cloned() {
                let Some(replicas) = self.cluster.replicas_of(partition) else { continue };
                let engine = Arc::clone(self.cluster.engine());
                reads.spawn(async move {
                    let answer = engine.submit(key, partition, replicas, Task::Read, deadline_us).await;
                    (place, answer)
                });
            }
            for (place, answer) in reads.join_all().await {
                let register = read_answer(answer)?;
                if let Some((_, known)) = registers.get_mut(place) {
                    *known = Some(register);
                }
            }
        }
        let values = self.request.values;
        let found = |(key, register): (Key, Option<Box<Register>>)| {
            Item::new(&key, register.as_deref()?, values).map(|item| Found { key, item })
        };
        Ok(registers.into_iter().filter_map(found).collect())
    }
}

/// More was found than is wanted: the page ends with the last item that is.
fn cut(page: Page, items_max: usize) -> Page {
    let Page { mut items, end } = page;
    if items.len() <= items_max {
        return Page { items, end };
    }
    items.truncate(items_max);
    let end = items.last().map_or(end, |last| PageEnd::Through(last.key.clone()));
    Page { items, end }
}

fn read_answer(answer: Result<Answer, Failure>) -> Result<Box<Register>, Problem> {
    match answer {
        Ok(Answer::State(register)) => Ok(register),
        Ok(_) => Err(Problem::new(Code::Timeout, "a key's read was not settled")),
        Err(failure) => Err(key_problem(failure, "read")),
    }
}

/// The problem of a listing one of whose keys could not be read or changed.
pub(super) fn key_problem(failure: Failure, what: &str) -> Problem {
    let code = match failure {
        Failure::NoQuorum => Code::NoQuorum,
        Failure::ClockSkew => Code::ClockSkew,
        Failure::DiskReserve => Code::DiskReserve,
        Failure::Contention | Failure::Overloaded => Code::Overloaded,
        Failure::Timeout | Failure::Unknown => Code::Timeout,
    };
    Problem::new(code, format!("a key of the listing cannot be {what}: {failure}"))
}
