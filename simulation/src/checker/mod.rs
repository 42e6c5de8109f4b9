//! The judge: is there an order of all calls on a key, each at one moment between its begin and its end, in which
//! a program with one thread would have given the same answers?
//!
//! Keys are independent registers, so each is judged by itself. A call whose outcome nobody knows may take its place
//! at any moment after its begin, or never. The search is Wing and Gong's, with the memory of visited states that
//! Lowe added ("Testing for Linearizability", 2017). Versions, which strictly increase along any such order, and what
//! can be told of calls in doubt beforehand keep it short where histories are long and many calls are in doubt.

mod doubt;
mod history;
mod model;
#[cfg(test)]
mod plain;
mod search;
#[cfg(test)]
mod tests;
mod versions;

pub use history::{Call, Demand, Ending, Operation};
use search::Search;

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

fn set(placed: &mut Placed, number: usize) {
    if let Some(word) = placed.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}

fn is_set(placed: &Placed, number: usize) -> bool {
    placed.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
}
