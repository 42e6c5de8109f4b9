//! Exactly once: no operation takes effect twice, whoever repeats it through whichever router.
//!
//! Looked for in what is chosen, not in answers: an operation with a client's key is recorded by one round only; a
//! value, which no two calls store alike, comes once and never again after another; and a counter ends at the sum of
//! the increments that succeeded and of some of those in doubt.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{Ballot, Content, Key, OpId, OpRecord, Register};

use super::Violation;
use crate::checker::{Call, Operation};

/// Every chosen register's records and values.
#[derive(Debug, Default)]
pub(crate) struct ExactlyOnce {
    records: BTreeMap<(Key, OpId), OpRecord>,
    values: BTreeMap<Key, BTreeMap<Ballot, Content>>,
}

impl ExactlyOnce {
    /// Takes note of a register that a majority accepted.
    pub(crate) fn on_chosen(&mut self, key: &Key, register: &Register) -> Result<(), Violation> {
        for record in register.history.ops() {
            let known = self.records.entry((key.clone(), record.id)).or_insert_with(|| record.clone());
            if known != record {
                let what = format!("one operation on {key:?} was recorded twice: {known:?} and {record:?}");
                return Err(Violation::ExactlyOnce(what));
            }
        }
        let values = self.values.entry(key.clone()).or_default();
        values.insert(register.accepted, register.content.clone());
        if comes_once(values, register.accepted) {
            Ok(())
        } else {
            let what = format!("a value of {key:?} was stored, replaced and stored again: {register:?}");
            Err(Violation::ExactlyOnce(what))
        }
    }
}

/// Whether the value chosen at `ballot` stands in one stretch of rounds, and cuts no other's in two.
fn comes_once(values: &BTreeMap<Ballot, Content>, ballot: Ballot) -> bool {
    let Some(content) = values.get(&ballot) else { return true };
    let before = values.range(..ballot).next_back().map(|(_, content)| content);
    let after = values.range(ballot..).nth(1).map(|(_, content)| content);
    if before.is_some() && before == after && before != Some(content) && before != Some(&Content::Tombstone) {
        return false;
    }
    if *content == Content::Tombstone {
        return true;
    }
    let mut stretches = 0;
    let mut inside = false;
    for other in values.values() {
        let same = other == content;
        stretches += u32::from(same && !inside);
        inside = same;
    }
    stretches == 1
}

/// Whether a counter that ended at `value` counted each increment of its history at most once, and those that
/// succeeded exactly once.
pub(crate) fn judge_counter(key: &Key, history: &[Operation], value: i64) -> Result<(), Violation> {
    let mut sums = BTreeSet::from([0]);
    for operation in history {
        let Call::Increment(by) = operation.call else { continue };
        let with: BTreeSet<i64> = sums.iter().map(|sum| sum + by).collect();
        sums = if operation.ended.is_some() { with } else { &sums | &with };
    }
    if sums.contains(&value) {
        Ok(())
    } else {
        let nearest: Vec<_> = sums.first().into_iter().chain(sums.last()).collect();
        Err(Violation::ExactlyOnce(format!(
            "the counter {key:?} ended at {value}: no sum of its increments, which give {nearest:?} at least and most"
        )))
    }
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Hlc, Outcome, ProposerId, Value, Version};

    use super::*;
    use crate::checker::Ending;

    fn ballot(ms: u64) -> Ballot {
        Ballot::new(Hlc::from_millis(ms), ProposerId(1))
    }

    fn key() -> Key {
        Key::new("k").unwrap()
    }

    fn register(ms: u64, value: Option<&'static str>) -> Register {
        let content = value.map_or(Content::Tombstone, |text| {
            Content::Live(Value { bytes: text.into(), ..Value::default() })
        });
        Register { accepted: ballot(ms), content, ..Register::absent(Ballot::ZERO) }
    }

    fn chosen(values: &[(u64, Option<&'static str>)]) -> Result<(), Violation> {
        let mut watch = ExactlyOnce::default();
        values.iter().try_for_each(|(ms, value)| watch.on_chosen(&key(), &register(*ms, *value)))
    }

    #[test]
    fn a_value_that_comes_back_after_another_or_a_delete_is_noticed_in_any_order() {
        assert_eq!(chosen(&[(1, Some("a")), (2, Some("a")), (3, Some("b")), (4, None), (5, None)]), Ok(()));
        assert!(chosen(&[(1, Some("a")), (2, Some("b")), (3, Some("a"))]).is_err());
        assert!(chosen(&[(1, Some("a")), (3, Some("a")), (2, Some("b"))]).is_err());
        assert!(chosen(&[(1, Some("a")), (3, Some("a")), (2, None)]).is_err());
    }

    #[test]
    fn an_operation_recorded_by_two_rounds_is_noticed() {
        let recorded = |at: u64, by: u64| {
            let record =
                OpRecord { id: OpId(7), fingerprint: 1, recorded: ballot(by), outcome: Outcome::NotFound };
            let history = roundtable_consensus::History::from_parts(
                Vec::new(),
                Ballot::ZERO,
                vec![record],
                Ballot::ZERO,
            );
            Register { history, ..register(at, None) }
        };
        let mut watch = ExactlyOnce::default();
        assert_eq!(watch.on_chosen(&key(), &recorded(1, 1)), Ok(()));
        assert_eq!(watch.on_chosen(&key(), &recorded(2, 1)), Ok(()));
        assert!(watch.on_chosen(&key(), &recorded(3, 3)).is_err());
    }

    #[test]
    fn a_counter_ends_at_what_succeeded_and_some_of_what_is_in_doubt() {
        let sure = |by| Operation {
            client: 0,
            call: Call::Increment(by),
            invoked: 0,
            ended: Some((1, Ending::Counted(0, Version::ZERO))),
        };
        let doubt = |by| Operation { ended: None, ..sure(by) };
        let history = [sure(1), sure(10), doubt(1), doubt(10)];
        for (value, holds) in
            [(10, false), (11, true), (12, true), (13, false), (21, true), (22, true), (23, false)]
        {
            assert_eq!(judge_counter(&key(), &history, value).is_ok(), holds, "{value}");
        }
    }
}
