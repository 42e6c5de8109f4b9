//! The judge: is there an order of all calls on a key, each at one moment between its begin and its end, in which
//! a program with one thread would have given the same answers?
//!
//! Keys are independent registers, so each is judged by itself. A call whose outcome nobody knows may take its place
//! at any moment after its begin, or never. The search is Wing and Gong's, with the memory of visited states that
//! Lowe added ("Testing for Linearizability", 2017).

mod history;
mod model;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub use history::{Call, Demand, Ending, Operation};
use model::State;

/// What the judge found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none. The calls that fit into the longest order found, then the first that does not.
    Violation {
        /// How many calls found a place at most.
        placed: usize,
        /// The calls for which none of the longest orders has a place.
        stuck: Vec<Operation>,
    },
    /// The search was given up after this many states.
    Undecided {
        /// States visited.
        states: usize,
    },
}

/// Judges the calls on one key. Gives up after `states_max` states.
#[must_use]
pub fn judge(operations: &[Operation], states_max: usize) -> Verdict {
    let mut sorted = operations.to_vec();
    sorted.sort_by_key(|operation| operation.invoked);
    Search::new(&sorted, states_max).run()
}

/// Which calls have their place.
type Placed = Vec<u64>;

struct Search<'a> {
    operations: &'a [Operation],
    states_max: usize,
    visited: HashSet<(Placed, State)>,
    best: usize,
    best_placed: Placed,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation], states_max: usize) -> Self {
        let none_placed = vec![0; operations.len().div_ceil(64)];
        Self { operations, states_max, visited: HashSet::new(), best: 0, best_placed: none_placed }
    }

    fn run(mut self) -> Verdict {
        let mut stack = vec![(self.best_placed.clone(), State::default(), 0)];
        while let Some((placed, state, count)) = stack.pop() {
            if self.is_complete(&placed) {
                return Verdict::Linearizable;
            }
            if count >= self.best {
                self.best = count;
                self.best_placed.clone_from(&placed);
            }
            if self.visited.len() >= self.states_max {
                return Verdict::Undecided { states: self.visited.len() };
            }
            for (number, operation) in self.candidates(&placed) {
                let ending = operation.ended.map(|(_, ending)| ending);
                let Some(next) = state.step(operation.call, ending) else { continue };
                let mut with = placed.clone();
                set(&mut with, number);
                if self.visited.insert((with.clone(), next)) {
                    stack.push((with, next, count + 1));
                }
            }
        }
        let unplaced = |(number, operation): (usize, &Operation)| {
            (!is_set(&self.best_placed, number) && operation.ended.is_some()).then_some(*operation)
        };
        let stuck = self.operations.iter().enumerate().filter_map(unplaced).take(8).collect();
        Verdict::Violation { placed: self.best, stuck }
    }

    /// All calls with a known end have their place.
    fn is_complete(&self, placed: &Placed) -> bool {
        self.operations
            .iter()
            .enumerate()
            .all(|(n, operation)| operation.ended.is_none() || is_set(placed, n))
    }

    /// The calls that may come next: begun before any call without a place has ended.
    fn candidates(&self, placed: &Placed) -> Vec<(usize, &'a Operation)> {
        let open = || self.operations.iter().enumerate().filter(|(number, _)| !is_set(placed, *number));
        let first_end = open().filter_map(|(_, o)| o.ended.map(|(at, _)| at)).min().unwrap_or(u64::MAX);
        let mut next: Vec<_> = open().take_while(|(_, o)| o.invoked <= first_end).collect();
        // The stack takes the last first: calls in doubt are tried after those that are sure, late ends last.
        next.sort_by_key(|(_, o)| std::cmp::Reverse(o.ended.map_or(u64::MAX, |(at, _)| at)));
        next
    }
}

fn set(placed: &mut Placed, number: usize) {
    if let Some(word) = placed.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}

fn is_set(placed: &Placed, number: usize) -> bool {
    placed.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
}
