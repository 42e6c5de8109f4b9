//! What can be told of calls in doubt before the search begins.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::Version;

use super::history::{Call, Ending, Operation};

/// Stands for every value that nobody saw.
const UNSEEN: i64 = i64::MIN;

/// Calls of which some are no longer in doubt: a put whose value was found took effect before the first who found it
/// had the answer, under the version that was found. Puts of values that nobody saw are alike, whatever the value.
///
/// Where values are counted on, a value that was found tells nothing of who stored it, and all calls stay as they are.
pub(super) fn settle(operations: &[Operation]) -> Vec<Operation> {
    if operations.iter().any(|operation| matches!(operation.call, Call::Increment(_))) {
        return operations.to_vec();
    }
    let seen = Seen::of(operations);
    operations.iter().map(|operation| seen.settle(*operation)).collect()
}

/// What the answers tell of values.
#[derive(Debug, Default)]
struct Seen {
    /// By value: the lowest version under which it was found, and when the first who found it had the answer.
    found: BTreeMap<i64, (Version, u64)>,
    /// Versions that a touch gave, and whether there may be others.
    touched: BTreeSet<Version>,
    touch_in_doubt: bool,
    /// Values that may end by themselves, each at a time of its own.
    expiring: BTreeSet<i64>,
}

impl Seen {
    fn of(operations: &[Operation]) -> Self {
        let mut seen = Self::default();
        for operation in operations {
            match (operation.call, operation.ended) {
                (_, Some((at, Ending::Found(value, version)))) => {
                    let first = seen.found.entry(value).or_insert((version, at));
                    *first = (first.0.min(version), first.1.min(at));
                }
                (Call::Touch(_), Some((_, Ending::Wrote { version, .. }))) => {
                    seen.touched.insert(version);
                }
                (Call::Touch(_), None) => seen.touch_in_doubt = true,
                (Call::Expiry(value), _) => {
                    seen.expiring.insert(value);
                }
                _ => {}
            }
        }
        seen
    }

    fn settle(&self, operation: Operation) -> Operation {
        let (Call::Put(value, demand), None) = (operation.call, operation.ended) else { return operation };
        match self.found.get(&value) {
            None if self.expiring.contains(&value) => operation,
            None => Operation { call: Call::Put(UNSEEN, demand), ..operation },
            // The version may be a touch's, and the put's own lower.
            Some((version, _)) if self.touch_in_doubt || self.touched.contains(version) => operation,
            Some((version, at)) => {
                let ending = Ending::Wrote { version: *version, created: None };
                Operation { ended: Some((*at, ending)), ..operation }
            }
        }
    }
}
