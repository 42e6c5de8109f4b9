//! What the operations mean, one after another.

use std::collections::BTreeMap;

use roundtable_consensus::Version;
use stateright::semantics::SequentialSpec;

use crate::{Op, Ret, What};

/// One key: a number or nothing, and how each operation under a client's key ended.
///
/// The versions are the store's to choose. The first answer that shows the version of a change names it, and from
/// then on every answer must show the same. A change whose version nobody was told has one that no client knows: a
/// client knows only what it was told before, and that has its place earlier in the order.
///
/// A number stored with an end may end by itself, at one moment, once: time is one more caller, whose [`Op::End`] may
/// take effect at any moment after the first clock has reached the end, or never.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Counter {
    number: Option<i64>,
    /// The number's version, once somebody was told.
    version: Option<Version>,
    /// Under which name the number has an end.
    end: Option<i64>,
    settled: BTreeMap<u8, What>,
}

impl Counter {
    /// A key with a number whose version everybody knows.
    pub(crate) fn with(number: i64, version: Version, end: Option<i64>) -> Self {
        Self { number: Some(number), version: Some(version), end, settled: BTreeMap::new() }
    }

    fn apply(&mut self, op: &Op) -> What {
        match op {
            Op::Put(number) => self.store(*number, None),
            Op::PutUntil(number) => self.store(*number, Some(*number)),
            Op::Create(_) if self.number.is_some() => What::Refused,
            Op::Create(number) => self.store(*number, None),
            Op::SwapOver(expected, number) => {
                let matches = self.number.is_some() && self.version.is_some() && self.version == *expected;
                if matches { self.store(*number, None) } else { What::Refused }
            }
            Op::Delete if self.number.is_none() => What::NotFound,
            Op::Delete => {
                self.clear();
                What::Deleted
            }
            Op::Increment => {
                let sum = self.number.unwrap_or(0) + 1;
                self.store(sum, self.end);
                What::Counted(sum)
            }
            Op::Read => What::Number(self.number),
            Op::Keyed(id, op) => match self.settled.get(id) {
                Some(what) => what.clone(),
                None => {
                    let what = self.apply(op);
                    self.settled.insert(*id, what.clone());
                    what
                }
            },
            Op::End(name) => {
                if self.end == Some(*name) {
                    self.clear();
                }
                What::Ended
            }
            Op::Swap(_) => panic!("the version is filled in before"),
        }
    }

    fn store(&mut self, number: i64, end: Option<i64>) -> What {
        (self.version, self.end) = (None, end);
        if self.number.replace(number).is_some() { What::Replaced } else { What::Created }
    }

    fn clear(&mut self) {
        (self.number, self.version, self.end) = (None, None, None);
    }

    /// Whether an answer may show this version of the number.
    fn is_named(&mut self, version: Option<Version>) -> bool {
        match (self.number, version) {
            (None, None) => true,
            (Some(_), Some(shown)) => *self.version.get_or_insert(shown) == shown,
            _ => false,
        }
    }
}

impl SequentialSpec for Counter {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        Ret { what: self.apply(op), version: self.version }
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        // A repeat is told the version of the first attempt, which may be long gone.
        let shows_the_number = !op.is_keyed() && ret.what != What::Deleted;
        self.apply(op) == ret.what && (!shows_the_number || self.is_named(ret.version))
    }
}
