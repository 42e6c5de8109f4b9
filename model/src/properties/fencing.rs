//! Fencing: versions told to clients strictly increase along real time, and a version names one value.

use std::collections::BTreeMap;

use roundtable_consensus::{Token, Version};

use crate::{Op, Ret};

/// The versions that clients were told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fencing {
    highest: Version,
    /// For each operation under way, the highest version that anybody had been told when it began.
    before: BTreeMap<Token, Version>,
    /// The number that each version names.
    numbers: BTreeMap<Version, i64>,
    pub(crate) holds: bool,
}

impl Fencing {
    /// Everybody knows `start`.
    pub(crate) fn new(start: Version) -> Self {
        Self { highest: start, before: BTreeMap::new(), numbers: BTreeMap::new(), holds: true }
    }

    pub(crate) fn on_begin(&mut self, client: Token) {
        self.before.insert(client, self.highest);
    }

    /// A client is told. An operation under a client's key may have been done before its repeat began, so its version
    /// may be an old one.
    pub(crate) fn on_told(&mut self, client: Token, op: &Op, ret: &Ret) {
        let before = self.before.remove(&client).unwrap_or(Version::ZERO);
        let Some(version) = ret.version else { return };
        let increases = if ret.what.is_change() { version > before } else { version >= before };
        let number = op.leaves(&ret.what);
        let names_one = number.is_none_or(|number| *self.numbers.entry(version).or_insert(number) == number);
        self.highest = self.highest.max(version);
        self.holds &= names_one && (increases || op.is_keyed());
    }
}
