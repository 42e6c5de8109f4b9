//! The search for an order that explains every answer.

use std::collections::HashSet;

use super::doubt;
use super::history::Operation;
use super::model::State;
use super::versions::VersionOrder;
use super::{Placed, Verdict, is_set, set};

/// How far an order has got.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    placed: Placed,
    state: State,
    /// The state before the last call, if that one was in doubt and nothing has rested on it yet. A call in doubt
    /// takes effect at the last moment: right before a call that could not have ended as it did without it.
    unused: Option<State>,
}

/// Depth first, never twice through the same node.
pub(super) struct Search<'a> {
    /// As they were given, in the order of their beginnings.
    given: &'a [Operation],
    operations: Vec<Operation>,
    versions: VersionOrder,
    states_max: usize,
    visited: HashSet<Node>,
    best: usize,
    best_placed: Placed,
}

impl<'a> Search<'a> {
    /// A search over calls in the order of their beginnings.
    pub(super) fn new(given: &'a [Operation], states_max: usize) -> Self {
        let operations = doubt::settle(given);
        let versions = VersionOrder::of(&operations);
        let best_placed = vec![0; operations.len().div_ceil(64)];
        Self { given, operations, versions, states_max, visited: HashSet::new(), best: 0, best_placed }
    }

    /// Searches to the end.
    pub(super) fn run(mut self) -> Verdict {
        let root = Node { placed: self.best_placed.clone(), state: State::default(), unused: None };
        let mut stack = vec![(root, 0)];
        while let Some((node, count)) = stack.pop() {
            if self.is_complete(&node.placed) {
                return Verdict::Linearizable;
            }
            if count >= self.best {
                self.best = count;
                self.best_placed.clone_from(&node.placed);
            }
            if self.visited.len() >= self.states_max {
                return Verdict::Undecided { states: self.visited.len() };
            }
            for next in self.successors(&node) {
                if self.visited.insert(next.clone()) {
                    stack.push((next, count + 1));
                }
            }
        }
        let unplaced = |(number, operation): (usize, &Operation)| {
            (!is_set(&self.best_placed, number) && operation.ended.is_some()).then_some(*operation)
        };
        let stuck = self.given.iter().enumerate().filter_map(unplaced).take(8).collect();
        Verdict::Violation { placed: self.best, stuck }
    }

    /// All calls with a known end have their place.
    fn is_complete(&self, placed: &Placed) -> bool {
        self.operations
            .iter()
            .enumerate()
            .all(|(n, operation)| operation.ended.is_none() || is_set(placed, n))
    }

    /// The calls that may come next: begun before any call without a place has ended. Those in doubt come first,
    /// then late ends: the stack takes the last first.
    fn candidates(&self, placed: &Placed) -> Vec<(usize, &Operation)> {
        let open = || self.operations.iter().enumerate().filter(|(number, _)| !is_set(placed, *number));
        let first_end = open().filter_map(|(_, o)| o.ended.map(|(at, _)| at)).min().unwrap_or(u64::MAX);
        let mut next: Vec<_> = open().take_while(|(_, o)| o.invoked <= first_end).collect();
        next.sort_by_key(|(_, o)| std::cmp::Reverse(o.ended.map_or(u64::MAX, |(at, _)| at)));
        next
    }

    fn successors(&self, node: &Node) -> Vec<Node> {
        let frontier = self.versions.frontier(&node.placed);
        let mut successors = Vec::new();
        let mut doubts_tried = HashSet::new();
        for (number, operation) in self.candidates(&node.placed) {
            let ending = operation.ended.map(|(_, ending)| ending);
            // Of calls in doubt that ask for the same, the first stands for all.
            if ending.is_none() && !doubts_tried.insert(operation.call) || !frontier.admits(number) {
                continue;
            }
            let Some(state) = node.state.step(operation.call, ending) else { continue };
            let mut placed = node.placed.clone();
            set(&mut placed, number);
            if ending.is_some() && state == node.state {
                // It changes nothing and may stand here, so it need not stand anywhere else.
                return vec![Node { placed, state, unused: None }];
            }
            let without = node.unused.map(|before| before.step(operation.call, ending));
            let is_vain = ending.is_none() && (state == node.state || node.unused == Some(state));
            if without == Some(Some(state)) || is_vain {
                continue;
            }
            let unused = ending.is_none().then_some(node.state);
            successors.push(Node { placed, state, unused });
        }
        successors
    }
}
