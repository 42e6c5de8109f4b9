//! What a run shows, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roundtable_simulation::checker::{Call, Operation, Verdict};

use super::LAST_CLIENT;
use super::fault::Kind;
use super::network::{Network, Wires};
use super::recorder::Tally;

/// How often the network did what to connections and to pieces of what they carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Harm {
    cut: u64,
    held: u64,
    lost: u64,
    delayed: u64,
    repeated: u64,
    /// Packets that TCP sent again, where that can be told.
    resent: Option<u64>,
}

impl Harm {
    /// What has been counted.
    pub(super) fn of(network: &Network) -> Self {
        let effects = &network.rules.effects;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            cut: read(&effects.cut),
            held: read(&effects.held),
            lost: read(&effects.lost),
            delayed: read(&effects.delayed),
            repeated: read(&effects.repeated),
            resent: network.wires.as_ref().map(Wires::resent),
        }
    }
}

/// What the machine gave to a run, and what came of it.
#[derive(Debug)]
pub(super) struct Conditions {
    /// What the network consists of.
    pub(super) network: String,
    /// Faults that cannot be played here, and why.
    pub(super) skipped: Vec<(Kind, String)>,
    /// What the network did.
    pub(super) harm: Harm,
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyReport {
    key: String,
    operations: usize,
    in_doubt: usize,
    /// The longest time in which no call on it succeeded while clients worked on it.
    longest_gap: Duration,
    verdict: Verdict,
}

impl KeyReport {
    /// Figures of a history.
    pub(super) fn of(key: String, history: &[Operation], verdict: Verdict) -> Self {
        let calls = || history.iter().filter(|operation| !matches!(operation.call, Call::Expiry(_)));
        let working = || calls().filter(|operation| operation.client != LAST_CLIENT);
        let mut times: Vec<u64> =
            working().filter_map(|operation| operation.ended.map(|(at, _)| at)).collect();
        times.extend(working().map(|operation| operation.invoked).min());
        times.sort_unstable();
        let gaps = times.iter().zip(times.iter().skip(1)).map(|(before, after)| after - before);
        Self {
            key,
            operations: calls().count(),
            in_doubt: calls().filter(|operation| operation.ended.is_none()).count(),
            longest_gap: Duration::from_micros(gaps.max().unwrap_or(0)),
            verdict,
        }
    }

    /// `register-1` of `register-1.4`.
    fn slot(&self) -> &str {
        self.key.split_once('.').map_or(self.key.as_str(), |(slot, _)| slot)
    }
}

/// What a run shows.
#[derive(Debug)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) length: Duration,
    pub(super) conditions: Conditions,
    pub(super) faults: BTreeMap<Kind, usize>,
    pub(super) tallies: BTreeMap<&'static str, Tally>,
    pub(super) keys: Vec<KeyReport>,
    pub(super) holds: usize,
    pub(super) findings: Vec<String>,
}

impl Report {
    /// Whether everything was as promised.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// What was not as promised.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Whether the judge found a key whose history no order explains.
    #[must_use]
    pub fn has_violation(&self) -> bool {
        self.keys.iter().any(|key| matches!(key.verdict, Verdict::Violation { .. }))
    }

    /// Calls with a definite answer.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.tallies.values().map(|tally| tally.answered).sum()
    }

    /// Calls of which nobody knows whether they took effect.
    #[must_use]
    pub fn in_doubt(&self) -> u64 {
        self.tallies.values().map(|tally| tally.in_doubt).sum()
    }

    /// Times for which a client held a lock.
    #[must_use]
    pub fn holds_of_locks(&self) -> usize {
        self.holds
    }

    /// Kinds of faults that the machine allows and that were not played.
    #[must_use]
    pub fn faults_left_out(&self) -> Vec<String> {
        let is_skipped = |kind: &Kind| self.conditions.skipped.iter().any(|(skipped, _)| skipped == kind);
        let left_out = Kind::ALL.iter().filter(|kind| !is_skipped(kind) && !self.faults.contains_key(kind));
        left_out.map(ToString::to_string).collect()
    }

    fn write_operations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<40} {:>9} {:>12} {:>9} {:>7}",
            "operations", "answered", "not applied", "in doubt", "share"
        )?;
        let mut sum = Tally::default();
        for (name, tally) in &self.tallies {
            write_tally(f, name, tally)?;
            sum.answered += tally.answered;
            sum.refused += tally.refused;
            sum.in_doubt += tally.in_doubt;
        }
        write_tally(f, "all", &sum)
    }

    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<40} {:>9}", "faults", "times")?;
        for (kind, count) in &self.faults {
            writeln!(f, "{kind:<40} {count:>9}")?;
        }
        for (kind, why) in &self.conditions.skipped {
            writeln!(f, "{kind:<40}   skipped: {why}")?;
        }
        let Harm { cut, held, lost, delayed, repeated, resent } = self.conditions.harm;
        writeln!(f, "network: {}", self.conditions.network)?;
        write!(
            f,
            "connections cut {cut}; pieces held {held}, lost {lost}, delayed {delayed}; batches repeated "
        )?;
        write!(f, "{repeated}")?;
        match resent {
            Some(resent) => writeln!(f, "; packets sent again by TCP {resent}"),
            None => writeln!(f),
        }
    }

    fn write_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut slots: BTreeMap<&str, Vec<&KeyReport>> = BTreeMap::new();
        self.keys.iter().for_each(|key| slots.entry(key.slot()).or_default().push(key));
        let title = ["keys", "operations", "in doubt", "no success", "verdict"];
        let [keys, operations, in_doubt, gap, verdict] = title;
        writeln!(f, "\n{keys:<40} {operations:>9} {in_doubt:>12} {gap:>11}  {verdict}")?;
        for (slot, keys) in slots {
            let operations: usize = keys.iter().map(|key| key.operations).sum();
            let in_doubt: usize = keys.iter().map(|key| key.in_doubt).sum();
            let gap = keys.iter().map(|key| key.longest_gap).max().unwrap_or_default().as_secs_f64();
            let name = format!("{slot} ({} keys one after another)", keys.len());
            let verdict = worst(&keys);
            writeln!(f, "{name:<40} {operations:>9} {in_doubt:>12} {gap:>9.2} s  {verdict}")?;
        }
        writeln!(f, "{:<40} {:>9}", "locks held", self.holds)
    }
}

fn write_tally(f: &mut fmt::Formatter<'_>, name: &str, tally: &Tally) -> fmt::Result {
    let Tally { answered, refused, in_doubt } = *tally;
    let all = answered + refused + in_doubt;
    // Per mille, so that whole numbers do.
    let share = in_doubt * 1_000 / all.max(1);
    writeln!(f, "{name:<40} {answered:>9} {refused:>12} {in_doubt:>9} {:>4}.{} %", share / 10, share % 10)
}

fn worst(keys: &[&KeyReport]) -> &'static str {
    let is = |wanted: fn(&Verdict) -> bool| keys.iter().any(|key| wanted(&key.verdict));
    if is(|verdict| matches!(verdict, Verdict::Violation { .. })) {
        "VIOLATION"
    } else if is(|verdict| matches!(verdict, Verdict::Undecided { .. })) {
        "undecided"
    } else {
        "linearizable"
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "gauntlet: seed {}, {} s", self.seed, self.length.as_secs())?;
        self.write_operations(f)?;
        self.write_faults(f)?;
        self.write_keys(f)?;
        for finding in &self.findings {
            writeln!(f, "\nFOUND: {finding}")?;
        }
        let verdict = if self.holds() { "everything as promised" } else { "NOT as promised" };
        write!(f, "\nverdict: {verdict}")
    }
}
