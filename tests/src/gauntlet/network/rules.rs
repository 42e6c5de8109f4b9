//! What the network does on which way.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::gauntlet::Party;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gauntlet) enum Direction {
    /// Requests: from whoever calls to the node.
    There,
    /// Answers: from the node to its caller.
    Back,
}

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gauntlet) enum Rule {
    /// They arrive.
    Pass,
    /// They arrive this much later.
    Delay(Duration),
    /// They arrive when the rule ends, even if the caller has given up meanwhile.
    Hold,
    /// They never arrive; the connection breaks when the rule ends.
    Lose,
    /// Connections are closed and none is made.
    Cut,
    /// Batches of requests arrive now, and once more this much later.
    Repeat(Duration),
}

/// The ways on which a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gauntlet) struct Span {
    /// Whose connections; `None` for everybody's.
    pub(in crate::gauntlet) caller: Option<Party>,
    /// To which node; `None` for all.
    pub(in crate::gauntlet) node: Option<Party>,
    /// In which direction; `None` for both.
    pub(in crate::gauntlet) direction: Option<Direction>,
}

impl Span {
    fn covers(&self, caller: Party, node: Party, direction: Direction) -> bool {
        self.node.is_none_or(|named| named == node)
            && self.caller.is_none_or(|named| named == caller)
            && self.direction.is_none_or(|named| named == direction)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |party: Option<Party>| party.map_or_else(|| "all".to_owned(), |party| party.to_string());
        let arrow = match self.direction {
            Some(Direction::There) => "->",
            Some(Direction::Back) => "<-",
            None => "<->",
        };
        write!(f, "{} {arrow} {}", name(self.caller), name(self.node))
    }
}

/// The rules in force, each with a number.
type InForce = Vec<(u64, Span, Rule)>;

/// The rules, as they change, and what they have done.
#[derive(Debug)]
pub(in crate::gauntlet) struct Rules {
    in_force: watch::Sender<InForce>,
    last: Mutex<u64>,
    /// What the rules did.
    pub(in crate::gauntlet) effects: Effects,
}

impl Default for Rules {
    fn default() -> Self {
        Self { in_force: watch::Sender::new(Vec::new()), last: Mutex::new(0), effects: Effects::default() }
    }
}

impl Rules {
    /// Puts a rule in force, above the earlier ones, and returns its number.
    pub(in crate::gauntlet) fn begin(&self, span: Span, rule: Rule) -> u64 {
        let mut last = self.last.lock().unwrap();
        *last += 1;
        let number = *last;
        self.in_force.send_modify(|rules| rules.push((number, span, rule)));
        number
    }

    /// Ends a rule.
    pub(in crate::gauntlet) fn end(&self, number: u64) {
        self.in_force.send_modify(|rules| rules.retain(|(known, ..)| *known != number));
    }

    /// A view of one way.
    pub(super) fn on(&self, caller: Party, node: Party, direction: Direction) -> Way {
        Way { rules: self.in_force.subscribe(), caller, node, direction }
    }
}

/// One way, as a connection on it sees the rules.
#[derive(Debug)]
pub(super) struct Way {
    rules: watch::Receiver<InForce>,
    caller: Party,
    node: Party,
    direction: Direction,
}

impl Way {
    /// The rule that holds now.
    pub(super) fn rule(&mut self) -> Rule {
        let rules = self.rules.borrow_and_update();
        let covering =
            rules.iter().rev().find(|(_, span, _)| span.covers(self.caller, self.node, self.direction));
        covering.map_or(Rule::Pass, |(_, _, rule)| *rule)
    }

    /// Waits until the rules have changed since [`Self::rule`] was asked.
    pub(super) async fn changed(&mut self) {
        if self.rules.changed().await.is_err() {
            // Nobody can change them any more.
            std::future::pending::<()>().await;
        }
    }
}

/// How often the network did harm, so that a run can show that its faults were more than a plan.
#[derive(Debug, Default)]
pub(in crate::gauntlet) struct Effects {
    /// Connections closed or refused.
    pub(in crate::gauntlet) cut: AtomicU64,
    /// Pieces that waited for the end of a rule.
    pub(in crate::gauntlet) held: AtomicU64,
    /// Pieces that never arrived.
    pub(in crate::gauntlet) lost: AtomicU64,
    /// Pieces that arrived later.
    pub(in crate::gauntlet) delayed: AtomicU64,
    /// Batches that arrived twice.
    pub(in crate::gauntlet) repeated: AtomicU64,
}

/// Counts one more.
pub(super) fn count(effect: &AtomicU64) {
    effect.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_covers_a_way_holds_until_it_ends() {
        let rules = Rules::default();
        let (router, node) = (Party::Router(1), Party::Node(2));
        let mut there = rules.on(router, node, Direction::There);
        let mut back = rules.on(router, node, Direction::Back);
        assert_eq!(there.rule(), Rule::Pass);
        let all = rules.begin(Span { caller: None, node: Some(node), direction: None }, Rule::Hold);
        let some = Span { caller: Some(router), node: Some(node), direction: Some(Direction::There) };
        let one = rules.begin(some, Rule::Cut);
        assert_eq!((there.rule(), back.rule()), (Rule::Cut, Rule::Hold));
        rules.end(one);
        assert_eq!(there.rule(), Rule::Hold);
        rules.end(all);
        assert_eq!((there.rule(), back.rule()), (Rule::Pass, Rule::Pass));
    }
}
