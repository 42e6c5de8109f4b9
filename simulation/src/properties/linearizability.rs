//! Linearizability of each key as clients saw it. That the judge can fail is shown beside it (`checker/tests.rs`), and
//! by the broken variants.

use std::collections::BTreeMap;

use roundtable_consensus::Key;

use super::Violation;
use crate::checker::{Operation, Verdict, judge};

/// States that the search visits for one key at most.
const STATES_MAX: usize = 400_000;

/// Judges every key. Returns how many keys were too tangled to be decided.
pub(crate) fn judge_histories(histories: &BTreeMap<Key, Vec<Operation>>) -> Result<u64, Violation> {
    let mut undecided = 0;
    for (key, history) in histories {
        match judge(history, STATES_MAX) {
            Verdict::Linearizable => {}
            Verdict::Undecided { .. } => undecided += 1,
            Verdict::Violation { placed, stuck } => {
                let mut calls = history.clone();
                calls.sort_by_key(|call| call.invoked);
                let lines =
                    |calls: &[Operation]| calls.iter().map(|c| format!("\n  {c}")).collect::<String>();
                return Err(Violation::Linearizability(format!(
                    "{key:?} is not linearizable: {placed} of {} calls have a place, none is left for{}\nall:{}",
                    history.len(),
                    lines(&stuck),
                    lines(&calls),
                )));
            }
        }
    }
    Ok(undecided)
}
