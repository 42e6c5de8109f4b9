//! One key as a program with one thread would have it: the specification that histories are held against.

use roundtable_consensus::Version;

use super::history::{Call, Demand, Ending};

/// The key's state in the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct State {
    cell: Option<Cell>,
    /// The highest version known so far: versions strictly increase in a key's life.
    last: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Cell {
    value: i64,
    /// Not known while the call that wrote it is in doubt; the first who sees it tells.
    version: Option<Version>,
}

impl State {
    /// The state after `call`, if it may end as `ending` here; an unknown ending may be any, and is left out
    /// where it would change nothing.
    pub(super) fn step(self, call: Call, ending: Option<Ending>) -> Option<Self> {
        match ending {
            Some(ending) => self.known(call, ending),
            None => self.unknown(call),
        }
    }

    fn known(self, call: Call, ending: Ending) -> Option<Self> {
        match (call, ending) {
            (Call::Read, Ending::Nothing) => self.cell.is_none().then_some(self),
            (Call::Read, Ending::Found(value, version)) => {
                let seen = self.seen(version)?;
                (seen.cell?.value == value).then_some(seen)
            }
            (Call::Put(value, demand), Ending::Wrote { version, created }) => {
                let met = self.met(demand)?;
                let fits = created.is_none_or(|created| created == met.cell.is_none());
                if fits { met.write(value, version) } else { None }
            }
            (Call::Increment(by), Ending::Counted(value, version)) => {
                let before = self.cell.map_or(0, |cell| cell.value);
                if before.checked_add(by)? == value { self.write(value, version) } else { None }
            }
            (Call::Touch(demand), Ending::Wrote { version, .. }) => {
                let met = self.met(demand)?;
                met.write(met.cell?.value, version)
            }
            (Call::Delete(demand), Ending::Removed) => {
                let met = self.met(demand)?;
                met.cell.map(|_| Self { cell: None, ..met })
            }
            (Call::Delete(demand) | Call::Touch(demand), Ending::Nothing) => {
                (self.cell.is_none() && matches!(demand, Demand::None | Demand::Absent)).then_some(self)
            }
            (Call::Put(_, demand) | Call::Delete(demand) | Call::Touch(demand), Ending::Refused(current)) => {
                self.refused(demand, current)
            }
            _ => None,
        }
    }

    fn unknown(self, call: Call) -> Option<Self> {
        let hidden = |value| Some(Cell { value, version: None });
        match call {
            Call::Read => None,
            Call::Put(value, demand) => Some(Self { cell: hidden(value), ..self.met(demand)? }),
            Call::Increment(by) => {
                let before = self.cell.map_or(0, |cell| cell.value);
                Some(Self { cell: hidden(before.checked_add(by)?), ..self })
            }
            Call::Touch(demand) => {
                let met = self.met(demand)?;
                Some(Self { cell: hidden(met.cell?.value), ..met })
            }
            Call::Delete(demand) => {
                let met = self.met(demand)?;
                met.cell.map(|_| Self { cell: None, ..met })
            }
            Call::Expiry(value) => (self.cell?.value == value).then_some(Self { cell: None, ..self }),
        }
    }

    /// The same state once its version is known to be `version`, if it can be.
    fn seen(self, version: Version) -> Option<Self> {
        let cell = self.cell?;
        match cell.version {
            Some(known) => (known == version).then_some(self),
            None if version > self.last => {
                Some(Self { cell: Some(Cell { version: Some(version), ..cell }), last: version })
            }
            None => None,
        }
    }

    fn met(self, demand: Demand) -> Option<Self> {
        match demand {
            Demand::None => Some(self),
            Demand::Exists => self.cell.map(|_| self),
            Demand::Absent => self.cell.is_none().then_some(self),
            Demand::Version(version) => self.seen(version),
        }
    }

    fn refused(self, demand: Demand, current: Option<Version>) -> Option<Self> {
        let state = match current {
            Some(version) => self.seen(version)?,
            None if self.cell.is_none() => self,
            None => return None,
        };
        let holds = match demand {
            Demand::None => true,
            Demand::Exists => current.is_some(),
            Demand::Absent => current.is_none(),
            Demand::Version(version) => current == Some(version),
        };
        (!holds).then_some(state)
    }

    fn write(self, value: i64, version: Version) -> Option<Self> {
        let cell = Cell { value, version: Some(version) };
        (version > self.last).then_some(Self { cell: Some(cell), last: version })
    }
}
