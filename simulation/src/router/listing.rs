//! A listing of all keys on its way: which majorities are asked, and what is told, is decided by the code that ships.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_common::wire::encode_scan;
use roundtable_consensus::{
    Answer, Failure, Fold, Key, KeyRange, NodeIndex, Now, PageEnd, Register, ScanPage, ScanRequest, Token,
};
use roundtable_router::listing::{Ask, Assembly, Closer, Merged, MergedKey, Source, Verdict, advance, plan};

use super::service::Service;
use super::{Item, RouterOutput};

/// Keys of a page: few, so that listings have several.
const ITEMS_MAX: usize = 2;
/// Bytes that a node is asked for at once.
const SCAN_BYTES_MAX: u32 = 4 << 20;
/// A node that has not answered a scan after this long is left out, if the others suffice; the time doubles when
/// they don't.
const SCAN_PATIENCE_US: u64 = 400_000;

#[derive(Debug)]
enum Phase {
    /// The next page is to be asked for, not before this time.
    Begin(u64),
    /// Nodes were asked: what has not been answered, by its number, and what came.
    Scanning { waiting: BTreeMap<usize, Ask>, sources: Vec<Source>, failed: BTreeSet<NodeIndex> },
    /// Keys are read that the pages did not settle.
    Reading { keys: Vec<(Key, Option<Register>)>, waiting: BTreeMap<Token, usize>, end: PageEnd },
}

#[derive(Debug)]
pub(super) struct Listing {
    deadline_us: u64,
    range: KeyRange,
    reverse: bool,
    patience_us: u64,
    excluded: BTreeSet<NodeIndex>,
    /// Nodes that failed this listing: they are asked last.
    failed: BTreeSet<NodeIndex>,
    /// The page of which single registers must be asked for.
    assembly: Option<Assembly>,
    phase: Phase,
    items: Vec<Item>,
    failure: Option<Failure>,
}

impl Listing {
    pub(super) fn new(deadline_us: u64, reverse: bool) -> Self {
        Self {
            deadline_us,
            range: KeyRange::default(),
            reverse,
            patience_us: SCAN_PATIENCE_US,
            excluded: BTreeSet::new(),
            failed: BTreeSet::new(),
            assembly: None,
            phase: Phase::Begin(0),
            items: Vec::new(),
            failure: None,
        }
    }

    pub(super) fn next_timer_us(&self) -> u64 {
        match self.phase {
            Phase::Begin(at_us) => at_us.min(self.deadline_us),
            Phase::Scanning { .. } | Phase::Reading { .. } => self.deadline_us,
        }
    }

    /// A node gave its page, or none.
    pub(super) fn on_page(&mut self, ask: usize, page: Option<ScanPage>) {
        let Phase::Scanning { waiting, sources, failed } = &mut self.phase else { return };
        let Some(ask) = waiting.remove(&ask) else { return };
        match page {
            Some(page) => sources.push(Source { partitions: ask.partitions, page }),
            None => drop(failed.insert(ask.node)),
        }
    }

    /// A key was read, or could not be.
    pub(super) fn on_read(&mut self, read: Token, answer: Result<Answer, Failure>) {
        let Phase::Reading { keys, waiting, .. } = &mut self.phase else { return };
        let Some(place) = waiting.remove(&read) else { return };
        match (answer, keys.get_mut(place)) {
            (Ok(Answer::State(register)), Some((_, known))) => *known = Some(*register),
            (Ok(_), _) | (_, None) => self.failure = Some(Failure::Timeout),
            (Err(failure), _) => self.failure = Some(failure),
        }
    }

    /// Goes as far as it can. Returns the outcome at its end.
    pub(super) fn advance(
        &mut self,
        service: &mut Service,
        now: Now,
        token: Token,
        out: &mut RouterOutput,
    ) -> Option<Result<Vec<Item>, Failure>> {
        loop {
            if now.mono_us >= self.deadline_us {
                return Some(Err(Failure::Timeout));
            }
            if let Some(failure) = self.failure {
                return Some(Err(failure));
            }
            match std::mem::replace(&mut self.phase, Phase::Begin(0)) {
                Phase::Begin(at_us) if at_us > now.mono_us => {
                    self.phase = Phase::Begin(at_us);
                    return None;
                }
                Phase::Begin(_) => {
                    if let Err(failure) = self.begin(service, now, token) {
                        return Some(Err(failure));
                    }
                }
                Phase::Scanning { waiting, sources, failed } if waiting.is_empty() => {
                    if failed.is_empty() {
                        self.settle(service, now, token, sources, out);
                    } else {
                        self.excluded.extend(&failed);
                        self.failed.extend(failed);
                    }
                }
                Phase::Reading { keys, waiting, end } if waiting.is_empty() => {
                    let told = |(key, register): (Key, Option<Register>)| Some((key, register?));
                    let live = |(_, register): &Item| register.content.is_live();
                    self.items.extend(keys.into_iter().filter_map(told).filter(live));
                    match end {
                        PageEnd::Exhausted => return Some(Ok(std::mem::take(&mut self.items))),
                        PageEnd::Through(last) => advance(&mut self.range, &last, self.reverse),
                    }
                    self.excluded.clear();
                    self.patience_us = SCAN_PATIENCE_US;
                }
                waits => {
                    self.phase = waits;
                    return None;
                }
            }
        }
    }

    /// Asks a majority of each partition for the next page.
    fn begin(&mut self, service: &mut Service, now: Now, token: Token) -> Result<(), Failure> {
        let left_us = self.deadline_us - now.mono_us;
        let is_usable = |node| service.is_usable(node) && !self.failed.contains(&node);
        let excluded = |node| self.excluded.contains(&node);
        let closer = self.assembly.as_ref().and_then(Assembly::closer).cloned();
        let mut partitions = service.layout.partitions();
        if let Some(Closer { partitions: wanted, .. }) = &closer {
            partitions.retain(|(partition, _)| wanted.contains(partition));
        }
        let (range, fold) = match closer {
            Some(closer) => (closer.range, Fold::Nothing),
            None => (self.range.clone(), Fold::Tombstones),
        };
        let Ok(asks) = plan(&partitions, true, is_usable, excluded) else {
            if self.patience_us >= left_us {
                return Err(Failure::NoQuorum);
            }
            self.excluded.clear();
            self.patience_us *= 2;
            self.phase = Phase::Begin(now.mono_us + SCAN_PATIENCE_US.min(left_us) / 8);
            return Ok(());
        };
        let mut waiting = BTreeMap::new();
        for (number, ask) in asks.into_iter().enumerate() {
            let Some(target) = service.target(ask.node) else { continue };
            let scan = ScanRequest {
                partitions: ask.partitions.clone(),
                range: range.clone(),
                reverse: self.reverse,
                want_values: ask.want_values,
                fold,
                limit: u32::try_from(ITEMS_MAX).unwrap_or(u32::MAX),
                bytes_max: SCAN_BYTES_MAX,
            };
            let body = encode_scan(target, &scan);
            service.ask_scan(token, number, ask.node, body, self.patience_us.min(left_us));
            waiting.insert(number, ask);
        }
        self.phase = Phase::Scanning { waiting, sources: Vec::new(), failed: BTreeSet::new() };
        Ok(())
    }

    /// Merges the pages, looks closer where they differ, and reads what they don't settle.
    fn settle(
        &mut self,
        service: &mut Service,
        now: Now,
        token: Token,
        sources: Vec<Source>,
        out: &mut RouterOutput,
    ) {
        let now_ms = service.wall_ms(now);
        let wants = |key: &Key| self.range.contains(key.as_bytes());
        let assembly = match self.assembly.take() {
            Some(mut assembly) => {
                assembly.look_closer(sources, now_ms, wants);
                assembly
            }
            None => Assembly::new(sources, &self.range, self.reverse, now_ms, ITEMS_MAX, wants),
        };
        if assembly.closer().is_some() {
            self.assembly = Some(assembly);
            self.phase = Phase::Begin(now.mono_us);
            return;
        }
        let Merged { keys: found, end } = assembly.into_merged();
        let mut keys = Vec::new();
        let mut waiting = BTreeMap::new();
        for (place, MergedKey { key, verdict, .. }) in found.into_iter().enumerate() {
            match verdict {
                Verdict::Settled(register) => keys.push((key, Some(*register))),
                Verdict::Unsettled => {
                    let read = service.read_for(now, token, &key, self.deadline_us - now.mono_us, out);
                    waiting.insert(read, place);
                    keys.push((key, None));
                }
            }
        }
        self.phase = Phase::Reading { keys, waiting, end };
    }
}
