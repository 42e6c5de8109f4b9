//! Fetches one page of a listing after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roundtable_common::wire::{SCAN_PATH, decode_page, encode_scan};
use roundtable_consensus::{
    Answer, Failure, Key, NodeIndex, PageEnd, PartitionId, Register, ReplicaSet, ScanPage, ScanRequest, Task,
};
use tokio::task::JoinSet;
use tracing::debug;

use crate::http::{Code, Problem};
use crate::links::Link;
use crate::listing::item::Item;
use crate::listing::merge::{Merged, MergedKey, Source, Verdict, merge};
use crate::listing::plan::{Ask, plan};
use crate::listing::request::{ListRequest, advance};
use crate::topology::Cluster;

/// Entries that a node is asked for at once.
const SCAN_ENTRIES_MAX: usize = 1_000;
/// Bytes that a node is asked for at once.
const SCAN_BYTES_MAX: u32 = 4 << 20;
/// A node that has not answered a scan after this long is left out, if the others suffice; the time doubles when
/// they don't.
const SCAN_PATIENCE: Duration = Duration::from_millis(400);
/// Unsettled keys that are read at once.
const READS_MAX: usize = 256;

/// Some items, and how far they reach.
#[derive(Debug)]
pub struct Page {
    /// The items, in the listing's order.
    pub items: Vec<Item>,
    /// The last key that they account for.
    pub end: PageEnd,
}

/// A listing on its way through its range.
pub struct Scanner {
    cluster: Arc<Cluster>,
    request: ListRequest,
    partitions: Vec<(PartitionId, Arc<ReplicaSet>)>,
    /// Nodes that failed this listing: they are asked last.
    failed: BTreeSet<NodeIndex>,
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
        Self { cluster, request, partitions, failed: BTreeSet::new() }
    }

    /// The next items, `items_max` at most, and perhaps none although the range is not exhausted.
    ///
    /// # Errors
    /// When a majority of a partition does not answer in time, or a key can't be read. Nothing was skipped: the same
    /// call may be made again.
    pub async fn next_page(&mut self, items_max: usize, deadline_us: u64) -> Result<Page, Problem> {
        let sources = self.ask_majorities(items_max, deadline_us).await?;
        let now_ms = self.cluster.engine().wall_ms();
        let Merged { keys, end } = merge(sources, self.request.reverse, now_ms);
        let mut wanted: Vec<MergedKey> =
            keys.into_iter().filter(|found| self.request.wants(&found.key)).collect();
        let end = match wanted.get(items_max) {
            // More was found than is wanted: the page ends with the last key that is.
            Some(_) => {
                wanted.truncate(items_max);
                wanted.last().map_or(end, |last| PageEnd::Through(last.key.clone()))
            }
            None => end,
        };
        let items = self.settle(wanted, deadline_us).await?;
        if let PageEnd::Through(last) = &end {
            advance(&mut self.request.range, last, self.request.reverse);
        }
        Ok(Page { items, end })
    }

    /// One page from each node of a plan that holds a majority of every partition.
    async fn ask_majorities(&mut self, items_max: usize, deadline_us: u64) -> Result<Vec<Source>, Problem> {
        let mut excluded: BTreeSet<NodeIndex> = BTreeSet::new();
        let mut patience = SCAN_PATIENCE;
        let mut last_error = String::new();
        loop {
            let left_us = deadline_us.saturating_sub(self.cluster.engine().clock().mono_us());
            if left_us == 0 {
                return Err(Problem::new(Code::Timeout, format!("the listing took too long: {last_error}")));
            }
            let is_usable = |node| self.cluster.is_usable(node) && !self.failed.contains(&node);
            let planned =
                plan(&self.partitions, self.request.values, is_usable, |node| excluded.contains(&node));
            let asks = match planned {
                Ok(asks) => asks,
                Err(_) if patience < Duration::from_micros(left_us) => {
                    excluded.clear();
                    patience *= 2;
                    tokio::time::sleep(SCAN_PATIENCE.min(Duration::from_micros(left_us)) / 8).await;
                    continue;
                }
                Err(no_majority) => {
                    return Err(Problem::new(Code::NoQuorum, format!("{no_majority}: {last_error}")));
                }
            };
            match self.ask(asks, items_max, patience.min(Duration::from_micros(left_us))).await {
                Ok(sources) => return Ok(sources),
                Err(failed) => {
                    for (node, error) in failed {
                        debug!(%node, error, "scan failed");
                        last_error =
                            self.cluster.node_id(node).map_or(error.clone(), |id| format!("{id}: {error}"));
                        excluded.insert(node);
                        self.failed.insert(node);
                    }
                }
            }
        }
    }

    /// All pages of a plan, or the nodes that gave none.
    async fn ask(
        &self,
        asks: Vec<Ask>,
        items_max: usize,
        limit: Duration,
    ) -> Result<Vec<Source>, Vec<(NodeIndex, String)>> {
        let mut scans = JoinSet::new();
        for ask in asks {
            let Some(link) = self.cluster.engine().link(ask.node).cloned() else { continue };
            let scan = ScanRequest {
                partitions: ask.partitions,
                range: self.request.range.clone(),
                reverse: self.request.reverse,
                want_values: ask.want_values,
                limit: u32::try_from(items_max.clamp(1, SCAN_ENTRIES_MAX)).unwrap_or(u32::MAX),
                bytes_max: SCAN_BYTES_MAX,
            };
            scans.spawn(async move {
                let result = scan_node(&link, &scan, limit).await;
                result
                    .map(|page| Source { partitions: scan.partitions, page })
                    .map_err(|error| (link.node, error))
            });
        }
        let (mut sources, mut failed) = (Vec::new(), Vec::new());
        for result in scans.join_all().await {
            match result {
                Ok(source) => sources.push(source),
                Err(failure) => failed.push(failure),
            }
        }
        if failed.is_empty() { Ok(sources) } else { Err(failed) }
    }

    /// Reads what the merge could not settle; the items keep their order.
    async fn settle(&self, keys: Vec<MergedKey>, deadline_us: u64) -> Result<Vec<Item>, Problem> {
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
        Ok(registers
            .iter()
            .filter_map(|(key, register)| Item::new(key, register.as_deref()?, values))
            .collect())
    }
}

async fn scan_node(link: &Link, scan: &ScanRequest, limit: Duration) -> Result<ScanPage, String> {
    let body = encode_scan(&link.target, scan);
    let answer = link.client.ask(SCAN_PATH, Some(body), limit).await.map_err(|error| error.to_string())?;
    let reply = decode_page(answer).map_err(|error| error.to_string())?;
    let page = reply.from_target(&link.target).map_err(|refused| refused.to_string())?;
    if let PageEnd::Through(last) = &page.end
        && !scan.range.contains(last.as_bytes())
    {
        return Err("its page ends outside of the range".to_owned());
    }
    Ok(page)
}

fn read_answer(answer: Result<Answer, Failure>) -> Result<Box<Register>, Problem> {
    match answer {
        Ok(Answer::State(register)) => Ok(register),
        Ok(_) => Err(Problem::new(Code::Timeout, "a key's read was not settled")),
        Err(failure) => {
            let code = match failure {
                Failure::NoQuorum => Code::NoQuorum,
                Failure::ClockSkew => Code::ClockSkew,
                Failure::DiskReserve => Code::DiskReserve,
                Failure::Contention | Failure::Overloaded => Code::Overloaded,
                Failure::Timeout | Failure::Unknown => Code::Timeout,
            };
            Err(Problem::new(code, format!("a key of the listing cannot be read: {failure}")))
        }
    }
}
