//! Asks a majority of each partition's replicas for a page.
//!
//! A node that is slow is not a node that is missing: its answer is waited for as long as the request has time, while
//! others are asked in its place if there are any. Only nodes that cannot be reached make a majority impossible.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use roundtable_common::wire::{Refused, SCAN_PATH, decode_page, encode_scan};
use roundtable_consensus::{NodeIndex, PageEnd, PartitionId, ReplicaSet, ScanPage, ScanRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::http::{Code, Problem};
use crate::links::Link;
use crate::listing::merge::Source;
use crate::listing::plan::{Ask, NoMajority, plan};
use crate::topology::Cluster;

/// A node that has not answered a scan after this long is no longer counted on, if the others suffice.
const PATIENCE: Duration = Duration::from_millis(400);
/// Pause before nodes that failed are asked again, and between looks at who is slow.
const PAUSE: Duration = Duration::from_millis(50);
/// Nodes that fail are asked again for this long before the majority is given up.
const RETRY_TIME: Duration = Duration::from_secs(1);

/// One question to a majority of each partition. Of `scan`, the partitions and whether values are wanted are filled in
/// for each node.
pub(super) struct Gather<'a> {
    cluster: &'a Cluster,
    partitions: &'a [(PartitionId, Arc<ReplicaSet>)],
    scan: ScanRequest,
    asked: Vec<Asked>,
    scans: JoinSet<(usize, Result<ScanPage, ScanFailure>)>,
    /// Nodes that gave no answer since the last pause.
    failed: BTreeSet<NodeIndex>,
    last_failure: Option<ScanFailure>,
}

struct Asked {
    ask: Ask,
    since: Instant,
    state: State,
}

enum State {
    Waiting,
    Answered(ScanPage),
    Failed,
}

/// Why a node gave no page.
#[derive(Debug)]
struct ScanFailure {
    is_overloaded: bool,
    text: String,
}

impl<'a> Gather<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        partitions: &'a [(PartitionId, Arc<ReplicaSet>)],
        scan: ScanRequest,
    ) -> Self {
        Self {
            cluster,
            partitions,
            scan,
            asked: Vec::new(),
            scans: JoinSet::new(),
            failed: BTreeSet::new(),
            last_failure: None,
        }
    }

    /// Asks until there is a page from a majority of every partition. Nodes in `avoided` are asked last; those that
    /// fail or are slow are added to it.
    pub(super) async fn run(
        mut self,
        avoided: &mut BTreeSet<NodeIndex>,
        deadline_us: u64,
    ) -> Result<Vec<Source>, Problem> {
        let begun = Instant::now();
        let mut ask_after = begun;
        loop {
            if self.lacking(Asked::is_answered).is_empty() {
                return Ok(self.sources());
            }
            let left_us = deadline_us.saturating_sub(self.cluster.engine().clock().mono_us());
            let left = Duration::from_micros(left_us);
            if left.is_zero() {
                return Err(self.late());
            }
            let lacking = self.lacking(Asked::is_counted_on);
            if !lacking.is_empty() && Instant::now() >= ask_after {
                let slow = self.slow();
                avoided.extend(&slow);
                match self.plan(&lacking, avoided, &slow) {
                    Ok(asks) => asks.into_iter().for_each(|ask| self.ask(ask, left)),
                    Err(no_majority) => {
                        self.check_hopeless(no_majority, begun)?;
                        self.failed.clear();
                        ask_after = Instant::now() + PAUSE;
                    }
                }
            }
            tokio::select! {
                Some(answer) = self.scans.join_next(), if !self.scans.is_empty() => {
                    if let Ok((place, result)) = answer {
                        self.take(place, result, avoided);
                    }
                }
                () = sleep(PAUSE.min(left)) => {}
            }
        }
    }

    /// The partitions of which those asked, as far as `counts` holds for them, are no majority, or give no values.
    fn lacking(&self, counts: impl Fn(&Asked) -> bool) -> Vec<(PartitionId, Arc<ReplicaSet>)> {
        let counted: Vec<&Asked> = self.asked.iter().filter(|asked| counts(asked)).collect();
        let is_lacking = |(partition, replicas): &&(PartitionId, Arc<ReplicaSet>)| {
            let gives = |asked: &&&Asked| asked.ask.partitions.binary_search(partition).is_ok();
            let has = |node| counted.iter().filter(gives).any(|asked| asked.ask.node == node);
            let has_values =
                !self.scan.want_values || counted.iter().filter(gives).any(|asked| asked.ask.want_values);
            !has_values || !replicas.is_quorum(has)
        };
        self.partitions.iter().filter(is_lacking).cloned().collect()
    }

    fn slow(&self) -> BTreeSet<NodeIndex> {
        self.asked.iter().filter(|asked| asked.is_slow()).map(|asked| asked.ask.node).collect()
    }

    fn plan(
        &self,
        lacking: &[(PartitionId, Arc<ReplicaSet>)],
        avoided: &BTreeSet<NodeIndex>,
        slow: &BTreeSet<NodeIndex>,
    ) -> Result<Vec<Ask>, NoMajority> {
        let is_preferred = |node| self.cluster.is_usable(node) && !avoided.contains(&node);
        let is_excluded = |node| slow.contains(&node) || self.failed.contains(&node);
        let mut asks = plan(lacking, self.scan.want_values, is_preferred, is_excluded)?;
        for ask in &mut asks {
            ask.partitions.retain(|partition| !self.is_asked(ask.node, ask.want_values, *partition));
        }
        asks.retain(|ask| !ask.partitions.is_empty());
        Ok(asks)
    }

    fn is_asked(&self, node: NodeIndex, want_values: bool, partition: PartitionId) -> bool {
        self.asked.iter().any(|asked| {
            asked.is_counted_on()
                && asked.ask.node == node
                && (asked.ask.want_values || !want_values)
                && asked.ask.partitions.binary_search(&partition).is_ok()
        })
    }

    fn ask(&mut self, ask: Ask, limit: Duration) {
        let Some(link) = self.cluster.engine().link(ask.node).cloned() else { return };
        let scan = ScanRequest {
            partitions: ask.partitions.clone(),
            want_values: ask.want_values,
            range: self.scan.range.clone(),
            ..self.scan
        };
        let place = self.asked.len();
        self.asked.push(Asked { ask, since: Instant::now(), state: State::Waiting });
        self.scans.spawn(async move { (place, scan_node(&link, &scan, limit).await) });
    }

    fn take(
        &mut self,
        place: usize,
        result: Result<ScanPage, ScanFailure>,
        avoided: &mut BTreeSet<NodeIndex>,
    ) {
        let Some(asked) = self.asked.get_mut(place) else { return };
        match result {
            Ok(page) => asked.state = State::Answered(page),
            Err(failure) => {
                let node = asked.ask.node;
                debug!(%node, error = failure.text, "scan failed");
                asked.state = State::Failed;
                self.failed.insert(node);
                avoided.insert(node);
                let text = self
                    .cluster
                    .node_id(node)
                    .map_or(failure.text.clone(), |id| format!("{id}: {}", failure.text));
                self.last_failure = Some(ScanFailure { text, ..failure });
            }
        }
    }

    /// No other node can be asked. That is hopeless when those asked have failed for a while, or are known not to be
    /// reachable; a node that is merely busy or slow is waited for.
    fn check_hopeless(&self, no_majority: NoMajority, begun: Instant) -> Result<(), Problem> {
        let is_busy = self.last_failure.as_ref().is_some_and(|failure| failure.is_overloaded);
        let is_waiting = self.asked.iter().any(|asked| matches!(asked.state, State::Waiting));
        let is_reachable = !is_busy && !is_waiting;
        let unreachable = self.no_usable_majority().or((is_reachable).then_some(no_majority));
        match unreachable {
            Some(no_majority) if begun.elapsed() >= RETRY_TIME => Err(self.no_quorum(no_majority)),
            _ => Ok(()),
        }
    }

    /// A partition without a usable majority, by what the links' monitors know.
    fn no_usable_majority(&self) -> Option<NoMajority> {
        let is_usable = |node| self.cluster.is_usable(node);
        let lost = self.partitions.iter().find(|(_, replicas)| !replicas.is_quorum(is_usable));
        lost.map(|(partition, _)| NoMajority(*partition))
    }

    /// The time is over: says why.
    fn late(&self) -> Problem {
        let waits: Vec<String> = self
            .asked
            .iter()
            .filter(|asked| matches!(asked.state, State::Waiting))
            .filter_map(|asked| self.cluster.node_id(asked.ask.node).map(ToString::to_string))
            .collect();
        match (&self.last_failure, self.no_usable_majority()) {
            (_, Some(no_majority)) => self.no_quorum(no_majority),
            (Some(failure), None) if failure.is_overloaded => {
                Problem::new(Code::Overloaded, format!("the listing found no room in time: {}", failure.text))
            }
            (Some(failure), None) if waits.is_empty() => {
                Problem::new(Code::Timeout, format!("the listing took too long: {}", failure.text))
            }
            _ => {
                let waits = waits.join(", ");
                Problem::new(Code::Timeout, format!("the listing took too long: no page yet from {waits}"))
            }
        }
    }

    fn no_quorum(&self, no_majority: NoMajority) -> Problem {
        let cause = self.last_failure.as_ref().map_or(String::new(), |failure| format!(": {}", failure.text));
        Problem::new(Code::NoQuorum, format!("{no_majority}{cause}"))
    }

    fn sources(self) -> Vec<Source> {
        let pages = self.asked.into_iter().filter_map(|asked| match asked.state {
            State::Answered(page) => Some(Source { partitions: asked.ask.partitions, page }),
            State::Waiting | State::Failed => None,
        });
        pages.collect()
    }
}

impl Asked {
    fn is_answered(&self) -> bool {
        matches!(self.state, State::Answered(_))
    }

    fn is_slow(&self) -> bool {
        matches!(self.state, State::Waiting) && self.since.elapsed() >= PATIENCE
    }

    /// Whether its answer is there, or will probably come soon.
    fn is_counted_on(&self) -> bool {
        !matches!(self.state, State::Failed) && !self.is_slow()
    }
}

async fn scan_node(link: &Link, scan: &ScanRequest, limit: Duration) -> Result<ScanPage, ScanFailure> {
    let failed = |text: String| ScanFailure { is_overloaded: false, text };
    let body = encode_scan(&link.target, scan);
    let answer =
        link.client.ask(SCAN_PATH, Some(body), limit).await.map_err(|error| failed(error.to_string()))?;
    let reply = decode_page(answer).map_err(|error| failed(error.to_string()))?;
    let page = reply.from_target(&link.target).map_err(|refused| ScanFailure {
        is_overloaded: matches!(refused, Refused::Overloaded),
        text: refused.to_string(),
    })?;
    if let PageEnd::Through(last) = &page.end
        && !scan.range.contains(last.as_bytes())
    {
        return Err(failed("its page ends outside of the range".to_owned()));
    }
    Ok(page)
}
