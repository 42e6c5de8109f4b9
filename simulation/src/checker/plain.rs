//! The judge against the plainest one there is, on random histories: every order is tried.

use roundtable_consensus::{Ballot, Hlc, ProposerId, Rng, Version};

use super::model::State;
use super::{Call, Demand, Ending, Operation, Verdict, judge};

const HISTORIES: u64 = 60_000;

/// Whether some order explains the calls that are left, after this state.
fn explains(left: &[Operation], state: State) -> bool {
    let first_end = left.iter().filter_map(|o| o.ended.map(|(at, _)| at)).min();
    let Some(first_end) = first_end else { return true };
    left.iter().enumerate().filter(|(_, operation)| operation.invoked <= first_end).any(
        |(place, operation)| {
            let Some(next) = state.step(operation.call, operation.ended.map(|(_, ending)| ending)) else {
                return false;
            };
            let mut rest = left.to_vec();
            rest.remove(place);
            explains(&rest, next)
        },
    )
}

fn version(number: u64) -> Version {
    Version { ballot: Ballot::new(Hlc(number), ProposerId(1)), index: 0 }
}

/// A key with one thread, to make histories of which most can be explained.
struct Register {
    rng: Rng,
    cell: Option<(i64, Version)>,
    last: u64,
}

impl Register {
    fn chance(&mut self, in_a_hundred: u64) -> bool {
        self.rng.up_to(99) < in_a_hundred
    }

    fn demand(&mut self) -> Demand {
        match self.rng.up_to(5) {
            0 => Demand::Exists,
            1 => Demand::Absent,
            2 => Demand::Version(version(self.rng.up_to(self.last))),
            _ => Demand::None,
        }
    }

    fn call(&mut self, number: i64, counts: bool) -> Call {
        match self.rng.up_to(9) {
            0..=3 => Call::Read,
            4 if counts => Call::Increment(1),
            4..=6 => Call::Put(100 * number, self.demand()),
            7 => Call::Touch(self.demand()),
            8 => Call::Expiry(100 * i64::try_from(self.rng.up_to(6)).unwrap()),
            _ => Call::Delete(self.demand()),
        }
    }

    fn apply(&mut self, call: Call) -> Ending {
        let demand = match call {
            Call::Put(_, demand) | Call::Delete(demand) | Call::Touch(demand) => demand,
            _ => Demand::None,
        };
        let current = self.cell.map(|(_, version)| version);
        let holds = match demand {
            Demand::None => true,
            Demand::Exists => current.is_some(),
            Demand::Absent => current.is_none(),
            Demand::Version(wanted) => current == Some(wanted),
        };
        if !holds {
            return Ending::Refused(current);
        }
        match (call, self.cell) {
            (Call::Read, Some((value, version))) => Ending::Found(value, version),
            (Call::Put(value, _), before) => {
                Ending::Wrote { version: self.store(value), created: Some(before.is_none()) }
            }
            (Call::Touch(_), Some((value, _))) => Ending::Wrote { version: self.store(value), created: None },
            (Call::Increment(by), before) => {
                let value = before.map_or(0, |(value, _)| value) + by;
                Ending::Counted(value, self.store(value))
            }
            (Call::Delete(_), Some(_)) => {
                self.cell = None;
                Ending::Removed
            }
            (Call::Expiry(value), Some((stored, _))) if value == stored => {
                self.cell = None;
                Ending::Nothing
            }
            _ => Ending::Nothing,
        }
    }

    fn store(&mut self, value: i64) -> Version {
        self.last += 1;
        self.cell = Some((value, version(self.last)));
        version(self.last)
    }

    fn history(&mut self) -> Vec<Operation> {
        let counts = self.chance(20);
        let length = 3 + self.rng.up_to(4);
        let mut history = Vec::new();
        for number in 1..=length {
            let call = self.call(i64::try_from(number).unwrap(), counts);
            let at = number * 10;
            let invoked = at - self.rng.up_to(25).min(at);
            let is_doubtful = matches!(call, Call::Expiry(_)) || (call != Call::Read && self.chance(35));
            let takes_effect = !is_doubtful || self.chance(60);
            let ending = takes_effect.then(|| self.apply(call));
            let ended = ending.filter(|_| !is_doubtful).map(|ending| (at + self.rng.up_to(25), ending));
            history.push(Operation { client: 0, call, invoked, ended });
        }
        if self.chance(40) {
            self.spoil(&mut history);
        }
        history
    }

    /// Exchanges one answer for another.
    fn spoil(&mut self, history: &mut [Operation]) {
        let place = usize::try_from(self.rng.up_to(history.len() as u64 - 1)).unwrap();
        let other = usize::try_from(self.rng.up_to(history.len() as u64 - 1)).unwrap();
        let value = 100 * i64::try_from(self.rng.up_to(6)).unwrap();
        let lied = version(self.rng.up_to(6));
        let borrowed = history[other].ended.map(|(_, ending)| ending);
        if let Some((_, ending)) = &mut history[place].ended {
            *ending = match *ending {
                Ending::Found(value, _) if self.rng.up_to(1) == 0 => Ending::Found(value, lied),
                Ending::Found(_, version) => Ending::Found(value, version),
                Ending::Wrote { version, created } => {
                    Ending::Wrote { version, created: created.map(|created| !created) }
                }
                Ending::Counted(value, version) => Ending::Counted(value + 1, version),
                Ending::Refused(_) => Ending::Refused(Some(lied)),
                same => borrowed.unwrap_or(same),
            };
        }
    }
}

#[test]
fn the_judge_agrees_with_one_that_tries_every_order() {
    let (mut sound, mut wrong) = (0, 0);
    for seed in 0..HISTORIES {
        let mut register = Register { rng: Rng::new(seed), cell: None, last: 0 };
        let history = register.history();
        let expected = explains(&history, State::default());
        let verdict = judge(&history, 100_000);
        let lines: Vec<String> = history.iter().map(ToString::to_string).collect();
        match verdict {
            Verdict::Linearizable => assert!(expected, "seed {seed}: {lines:#?}"),
            Verdict::Violation { .. } => assert!(!expected, "seed {seed}: {lines:#?}"),
            Verdict::Undecided { .. } => panic!("seed {seed}: {lines:#?}"),
        }
        *(if expected { &mut sound } else { &mut wrong }) += 1;
    }
    assert!(sound > HISTORIES / 2 && wrong > HISTORIES / 20, "{sound} sound, {wrong} wrong");
}
