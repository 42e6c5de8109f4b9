//! Stretches of deleted keys that scans have read before, so that the next one passes over them.
//!
//! A queue whose first key is taken and deleted again and again leaves its tombstones in front: without this, each look
//! at its first key would read them all. A run says that an interval of rows holds these tombstones and nothing else. It
//! holds until a row in it is written.
//!
//! Who writes rows into the database calls [`Runs::forget`] afterwards, and before anybody may rely on finding them
//! there. So a scan, which first has everything written that was answered, never finds a run that hides such a row. A
//! run that a scan learns is true of its snapshot; it is kept only if no row in it was written since the scan began.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows written while scans run that are remembered; beyond that, running scans learn nothing.
const WRITTEN_MAX: usize = 16_384;
/// Memory that runs may take; beyond that all are forgotten, and learned again where they are needed.
const RUNS_BYTES_MAX: usize = 16 << 20;
/// So many tombstones in one partition are worth reading before somebody lists them.
const UNREAD_ROWS_MIN: u32 = 32;
/// What a run takes beside its bounds.
const RUN_BYTES: usize = 128;

/// Tombstones in an interval of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownRun {
    /// The bound behind them in the direction of the scan.
    pub(super) far: Vec<u8>,
    /// The row of the first of them in the direction of the scan: there is nothing between the near bound and it.
    pub(super) first: Vec<u8>,
    /// How many they are.
    pub(super) rows: u32,
    /// The sum of their hashes.
    pub(super) digest: u128,
    /// Whether a span ends behind them whatever follows.
    pub(super) is_cut: bool,
}

/// A stretch of one partition in which tombstones were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    /// How many.
    rows: u32,
    /// The first row.
    pub(super) low: Vec<u8>,
    /// The last row.
    pub(super) high: Vec<u8>,
    /// Where a known run begins that reaches to the first row.
    pub(super) near: Option<Vec<u8>>,
}

/// The known runs.
#[derive(Default)]
pub(super) struct Runs(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the first row that may be in them.
    forward: BTreeMap<Vec<u8>, KnownRun>,
    /// By the first row beyond them.
    reverse: BTreeMap<Vec<u8>, KnownRun>,
    bytes: usize,
    /// By partition.
    unread: BTreeMap<[u8; 2], Unread>,
    /// Scans that may learn.
    scans: usize,
    /// Rows written while there are such scans, each with the number of the last write.
    written: BTreeMap<Vec<u8>, u64>,
    /// Writes so far.
    writes: u64,
    /// Scans that began before this write know too little of what was written.
    forgotten: u64,
}

/// A scan that may learn runs.
pub(super) struct Learner<'a> {
    runs: &'a Runs,
    begun: u64,
}

impl Runs {
    /// A scan begins; to be called before it takes its snapshot.
    pub(super) fn learner(&self) -> Learner<'_> {
        let mut state = self.state();
        state.scans += 1;
        Learner { runs: self, begun: state.writes }
    }

    /// Rows were written into the database, each a tombstone or not.
    pub(super) fn forget<'a>(&self, rows: impl Iterator<Item = (&'a Vec<u8>, bool)>) {
        let mut state = self.state();
        state.writes += 1;
        let forgets = state.scans > 0 || state.bytes > 0;
        for (row, is_tombstone) in rows {
            if forgets {
                state.forget(row);
            }
            if is_tombstone {
                state.note_unread(row);
            }
        }
    }

    /// Where many tombstones were written that no scan has read: one stretch of each partition.
    pub(super) fn take_unread(&self) -> Vec<Unread> {
        let mut state = self.state();
        let (many, few) = std::mem::take(&mut state.unread)
            .into_iter()
            .partition(|(_, unread)| unread.rows >= UNREAD_ROWS_MIN);
        state.unread = few;
        let many: BTreeMap<[u8; 2], Unread> = many;
        let begin = |mut unread: Unread| {
            let before = state.forward.range::<Vec<u8>, _>(..=&unread.low).next_back();
            unread.near = before.filter(|(_, run)| run.far >= unread.low).map(|(near, _)| near.clone());
            unread
        };
        many.into_values().map(begin).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learner<'_> {
    /// The run whose first tombstone is the first row from `from` on in the direction of the scan, if the run ends within
    /// `limit`, the scan's own end (`None`: it has none).
    pub(super) fn known(&self, from: &[u8], reverse: bool, limit: Option<&[u8]>) -> Option<KnownRun> {
        let state = self.runs.state();
        let run = if reverse {
            let (_, run) =
                state.reverse.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)).next()?;
            Some(run).filter(|run| &run.first[..] < from)
        } else {
            let (_, run) =
                state.forward.range::<[u8], _>((Bound::Unbounded, Bound::Included(from))).next_back()?;
            Some(run).filter(|run| &run.first[..] >= from)
        }?;
        let is_within =
            limit.is_none_or(|limit| if reverse { &run.far[..] >= limit } else { &run.far[..] <= limit });
        is_within.then(|| run.clone())
    }

    /// Keeps a run, unless a row in it was written since the scan began.
    pub(super) fn learn(&self, near: Vec<u8>, run: KnownRun, reverse: bool) {
        let mut state = self.runs.state();
        let (low, high) = if reverse { (&run.far, &near) } else { (&near, &run.far) };
        let mut since = state.written.range::<Vec<u8>, _>(low..high);
        if low >= high || state.forgotten > self.begun || since.any(|(_, write)| *write > self.begun) {
            return;
        }
        if state.bytes > RUNS_BYTES_MAX {
            (state.forward, state.reverse, state.bytes) = Default::default();
        }
        state.remove_within(low, high, reverse);
        state.bytes += bytes_of(&near, &run);
        let runs = if reverse { &mut state.reverse } else { &mut state.forward };
        runs.insert(near, run);
    }
}

impl Drop for Learner<'_> {
    fn drop(&mut self) {
        let mut state = self.runs.state();
        state.scans = state.scans.saturating_sub(1);
        if state.scans == 0 {
            state.written.clear();
        }
    }
}

impl State {
    fn note_unread(&mut self, row: &[u8]) {
        let Some((partition, _)) = row.split_first_chunk::<2>() else { return };
        match self.unread.get_mut(partition) {
            Some(unread) => {
                unread.rows = unread.rows.saturating_add(1);
                if row < &unread.low[..] {
                    unread.low = row.to_vec();
                } else if row > &unread.high[..] {
                    unread.high = row.to_vec();
                }
            }
            None => {
                let unread = Unread { rows: 1, low: row.to_vec(), high: row.to_vec(), near: None };
                self.unread.insert(*partition, unread);
            }
        }
    }

    fn forget(&mut self, row: &Vec<u8>) {
        if self.scans > 0 {
            if self.written.len() >= WRITTEN_MAX {
                self.written.clear();
                self.forgotten = self.writes;
            }
            self.written.insert(row.clone(), self.writes);
        }
        let before = self.forward.range::<Vec<u8>, _>(..=row).next_back();
        if let Some(near) = before.filter(|(_, run)| run.far > *row).map(|(near, _)| near.clone()) {
            self.remove(&near, false);
        }
        let behind = self.reverse.range::<Vec<u8>, _>((Bound::Excluded(row), Bound::Unbounded)).next();
        if let Some(near) = behind.filter(|(_, run)| run.far <= *row).map(|(near, _)| near.clone()) {
            self.remove(&near, true);
        }
    }

    /// Removes all runs of one direction that share a row with an interval: runs never overlap.
    fn remove_within(&mut self, low: &Vec<u8>, high: &Vec<u8>, reverse: bool) {
        let overlapping: Vec<Vec<u8>> = if reverse {
            let from = self.reverse.range::<Vec<u8>, _>((Bound::Excluded(low), Bound::Unbounded));
            from.take_while(|(_, run)| run.far < *high).map(|(near, _)| near.clone()).collect()
        } else {
            let until = self.forward.range::<Vec<u8>, _>(..high).rev();
            until.take_while(|(_, run)| run.far > *low).map(|(near, _)| near.clone()).collect()
        };
        overlapping.iter().for_each(|near| self.remove(near, reverse));
    }

    fn remove(&mut self, near: &Vec<u8>, reverse: bool) {
        let runs = if reverse { &mut self.reverse } else { &mut self.forward };
        if let Some(run) = runs.remove(near) {
            self.bytes = self.bytes.saturating_sub(bytes_of(near, &run));
        }
    }
}

fn bytes_of(near: &[u8], run: &KnownRun) -> usize {
    RUN_BYTES + near.len() + run.far.len() + run.first.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run from `b` to `d`, or the same backwards, whose tombstones are at `bm` to `cm`.
    fn run(far: &str) -> KnownRun {
        let first = if far == "b" { "cm" } else { "bm" };
        KnownRun { far: far.into(), first: first.into(), rows: 9, digest: 1, is_cut: false }
    }

    fn forget(runs: &Runs, row: &str) {
        runs.forget([row.as_bytes().to_vec()].iter().map(|row| (row, false)));
    }

    #[test]
    fn run_is_known_from_any_place_before_its_first_tombstone_and_from_no_other() {
        let runs = Runs::default();
        let learner = runs.learner();
        learner.learn("b".into(), run("d"), false);
        learner.learn("d".into(), run("b"), true);
        let known = |from: &str, reverse| learner.known(from.as_bytes(), reverse, None).is_some();
        for (from, forward, reverse) in [
            ("a", false, false),
            ("b", true, false),
            ("ba", true, false),
            ("bm", true, false),
            ("bm0", false, false),
            ("cm", false, false),
            ("cm0", false, true),
            ("d", false, true),
            ("d0", false, false),
        ] {
            assert_eq!((known(from, false), known(from, true)), (forward, reverse), "{from}");
        }
    }

    #[test]
    fn many_unread_tombstones_are_named_once_with_the_run_that_they_continue() {
        let runs = Runs::default();
        let rows: Vec<Vec<u8>> = (0..40).map(|number| format!("pp{number:02}").into_bytes()).collect();
        runs.forget(rows.iter().map(|row| (row, false)));
        runs.forget(rows.iter().take(20).map(|row| (row, true)));
        assert_eq!(runs.take_unread(), []);
        let far = "pp00".to_owned();
        runs.learner().learn("pp".into(), KnownRun { far: far.into(), ..run("x") }, false);
        runs.forget(rows.iter().skip(20).map(|row| (row, true)));
        let unread = Unread { rows: 40, low: "pp00".into(), high: "pp39".into(), near: Some("pp".into()) };
        assert_eq!(runs.take_unread(), [unread]);
        assert_eq!(runs.take_unread(), []);
    }

    #[test]
    fn run_holds_until_a_row_in_it_is_written() {
        for (reverse, near, far) in [(false, "b", "d"), (true, "d", "b")] {
            let runs = Runs::default();
            let learner = runs.learner();
            let known = || learner.known(near.as_bytes(), reverse, None);
            learner.learn(near.into(), run(far), reverse);
            for outside in ["a", "d", "e"] {
                forget(&runs, outside);
                assert_eq!(known(), Some(run(far)), "{outside}");
            }
            for inside in ["b", "c", "cz"] {
                runs.learner().learn(near.into(), run(far), reverse);
                assert!(known().is_some());
                forget(&runs, inside);
                assert_eq!(known(), None, "{inside}");
            }
            assert_eq!(runs.state().bytes, 0);
        }
    }

    #[test]
    fn run_that_was_written_into_while_it_was_read_is_not_learned() {
        let runs = Runs::default();
        let early = runs.learner();
        forget(&runs, "c");
        let late = runs.learner();
        early.learn("b".into(), run("d"), false);
        early.learn("d".into(), run("b"), true);
        assert_eq!(early.known(b"b", false, None), None);
        assert_eq!(early.known(b"d", true, None), None);
        late.learn("b".into(), run("d"), false);
        assert!(late.known(b"b", false, None).is_some());
        // More was written than is remembered.
        let overrun = runs.learner();
        let rows: Vec<Vec<u8>> =
            (0..=WRITTEN_MAX).map(|number| format!("x{number:06}").into_bytes()).collect();
        runs.forget(rows.iter().map(|row| (row, false)));
        overrun.learn("f".into(), run("g"), false);
        assert_eq!(overrun.known(b"f", false, None), None);
        drop((early, late, overrun));
        assert!(runs.state().written.is_empty());
    }

    #[test]
    fn runs_never_overlap_nor_reach_beyond_the_scan() {
        for reverse in [false, true] {
            let runs = Runs::default();
            let learner = runs.learner();
            let learn = |low: &str, high: &str| {
                let (near, far) = if reverse { (high, low) } else { (low, high) };
                let first = if reverse { format!("{low}z") } else { format!("{low}a") };
                learner.learn(near.into(), KnownRun { first: first.into(), ..run(far) }, reverse);
            };
            learn("b", "d");
            learn("d", "f");
            learn("f", "h");
            let state = || {
                let state = runs.state();
                let runs = if reverse { &state.reverse } else { &state.forward };
                runs.iter().map(|(near, run)| (near.clone(), run.far.clone())).collect::<Vec<_>>()
            };
            assert_eq!(state().len(), 3);
            learn("e", "g");
            assert_eq!(state().len(), 2, "{:?}", state());
            let (near, inside, beyond) = if reverse { ("d", "a", "c") } else { ("b", "e", "c") };
            assert!(learner.known(near.as_bytes(), reverse, Some(inside.as_bytes())).is_some());
            assert_eq!(learner.known(near.as_bytes(), reverse, Some(beyond.as_bytes())), None);
        }
    }
}
