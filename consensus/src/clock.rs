//! The proposer's hybrid clock: makes ballots, and corrects a wrong wall clock by what the nodes say.
//!
//! Safety never rests on it; liveness and the judgement of expiry do. A proposer whose clock is behind would
//! lose every race if it went just one tick past the ballot that it was told, so it keeps an *offset* and runs
//! past that ballot from then on. A proposer whose clock is far ahead is refused by the nodes; the offset is then
//! pulled back below what a majority of them takes. Replies carry the node's time, so an idle proposer corrects
//! itself too.

use std::collections::BTreeMap;

use crate::ballot::{Ballot, Hlc, ProposerId};
use crate::ids::NodeIndex;
use crate::rng::Rng;

/// Makes ballots that strictly increase under one [`ProposerId`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HybridClock {
    proposer: ProposerId,
    /// Added to the wall clock.
    offset_ms: i64,
    /// The last reading used under `proposer`.
    last: Hlc,
    /// How far each node's clock is ahead of the wall clock here, as last heard.
    node_leads_ms: BTreeMap<NodeIndex, i64>,
    /// How far ahead of the nodes the corrected clock may be before it is set to theirs.
    skew_ms_max: u64,
    rng: Rng,
}

impl HybridClock {
    /// A clock without correction, under a proposer drawn from `rng`.
    #[must_use]
    pub fn new(skew_ms_max: u64, mut rng: Rng) -> Self {
        let proposer = draw_proposer(&mut rng);
        Self { proposer, offset_ms: 0, last: Hlc(0), node_leads_ms: BTreeMap::new(), skew_ms_max, rng }
    }

    /// The corrected time in unix milliseconds.
    #[must_use]
    pub fn now_ms(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.offset_ms).min(Hlc::MILLIS_MAX)
    }

    /// The present correction in milliseconds, for operators.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// The present proposer.
    #[must_use]
    pub fn proposer(&self) -> ProposerId {
        self.proposer
    }

    /// A new ballot, not below `at_least`, above every earlier one of this proposer.
    pub fn next(&mut self, wall_ms: u64, at_least: Hlc) -> Ballot {
        if self.last == Hlc(u64::MAX) {
            self.rename();
        }
        // Proposers whose clocks agree often propose in one millisecond. If they all began it at 0, their names would
        // decide who wins, always in the same order.
        let place = self.rng.up_to((1 << (Hlc::COUNTER_BITS - 1)) - 1);
        let now = Hlc(Hlc::from_millis(self.now_ms(wall_ms)).0 | place);
        let reading = now.max(at_least).max(Hlc(self.last.0.saturating_add(1)));
        assert!(reading > self.last, "a reading would be used twice under one name");
        self.last = reading;
        Ballot::new(reading, self.proposer)
    }

    /// Learns that a node holds `told`: from now on this clock runs past it, unless no majority of the nodes would
    /// follow. A key that a wrong clock poisoned waits for time to pass; it must not take every other key along.
    ///
    /// Past it by a tick of the counter, not by a millisecond: two proposers that outbid each other all the time
    /// would push each other's clocks ahead of real time as far as nodes allow, and values would end early.
    pub fn outbid(&mut self, wall_ms: u64, told: Ballot) {
        let told_ms = difference_ms(told.hlc.millis(), wall_ms);
        let limit_ms = match self.median_leads_ms() {
            Some((_, upper_ms)) => upper_ms.saturating_add(self.ahead_ms_max()),
            None => i64::MAX,
        };
        if told_ms <= limit_ms {
            self.last = self.last.max(told.hlc);
        }
        self.offset_ms = self.offset_ms.max(told_ms.min(limit_ms));
    }

    /// Learns that no majority takes ballots beyond `limit_ms`: from now on this clock stays below it, but never goes
    /// behind the nodes' median. Replicas that ask for that are wrong themselves, and values would get their ends by
    /// a wrong clock.
    ///
    /// Readings below those already used would come again, so the proposer takes a new name.
    pub fn pull_back(&mut self, wall_ms: u64, limit_ms: u64) {
        let behind =
            self.median_leads_ms().is_some_and(|(lower_ms, _)| difference_ms(limit_ms, wall_ms) <= lower_ms);
        if !behind && (self.now_ms(wall_ms) >= limit_ms || self.last.millis() >= limit_ms) {
            self.set(wall_ms, limit_ms.saturating_sub(1).min(self.now_ms(wall_ms)));
        }
    }

    /// Hears a node's time, in a reply. A clock behind the nodes' median goes there; one that is further ahead
    /// of it than nodes tolerate is set to it. Of two medians each time the one that moves the clock less.
    pub fn observe(&mut self, wall_ms: u64, node: NodeIndex, node_ms: u64) {
        self.node_leads_ms.insert(node, difference_ms(node_ms, wall_ms));
        let Some((lower_ms, upper_ms)) = self.median_leads_ms() else { return };
        if self.offset_ms < lower_ms {
            self.offset_ms = lower_ms;
        } else if self.offset_ms.saturating_sub(upper_ms) > self.ahead_ms_max() {
            self.set(wall_ms, wall_ms.saturating_add_signed(upper_ms));
        }
    }

    /// The lower and the upper median of the nodes' leads: the same for an odd number of nodes.
    fn median_leads_ms(&self) -> Option<(i64, i64)> {
        let mut leads: Vec<i64> = self.node_leads_ms.values().copied().collect();
        leads.sort_unstable();
        let lower = leads.get(leads.len().saturating_sub(1) / 2)?;
        let upper = leads.get(leads.len() / 2)?;
        Some((*lower, *upper))
    }

    fn ahead_ms_max(&self) -> i64 {
        i64::try_from(self.skew_ms_max).unwrap_or(i64::MAX)
    }

    /// Sets the clock to `now_ms`, under a new name where that goes back.
    fn set(&mut self, wall_ms: u64, now_ms: u64) {
        self.offset_ms = difference_ms(now_ms, wall_ms);
        if self.last >= Hlc::from_millis(now_ms) {
            self.rename();
        }
    }

    /// Takes a name that was never used: every reading is free again.
    fn rename(&mut self) {
        self.proposer = draw_proposer(&mut self.rng);
        self.last = Hlc(0);
    }
}

/// Never 0, which stands for "no proposer" in floors.
fn draw_proposer(rng: &mut Rng) -> ProposerId {
    ProposerId(rng.next_u64().max(1))
}

fn difference_ms(to: u64, from: u64) -> i64 {
    i64::try_from(to).unwrap_or(i64::MAX).saturating_sub(i64::try_from(from).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, proptest};

    const NODE: NodeIndex = NodeIndex(1);

    fn clock() -> HybridClock {
        HybridClock::new(5_000, Rng::new(1))
    }

    #[test]
    fn ballots_increase_while_the_wall_clock_stands_or_goes_back() {
        let mut clock = clock();
        let first = clock.next(1_000, Hlc(0));
        let second = clock.next(1_000, Hlc(0));
        let third = clock.next(500, Hlc(0));
        assert!(first < second && second < third);
    }

    #[test]
    fn no_proposer_wins_every_race_for_a_millisecond() {
        let (mut a, mut b) = (HybridClock::new(5_000, Rng::new(1)), HybridClock::new(5_000, Rng::new(2)));
        let wins = (0..1_000).filter(|ms| a.next(*ms, Hlc(0)) > b.next(*ms, Hlc(0))).count();
        assert!((400..600).contains(&wins), "{wins} of 1000");
    }

    #[test]
    fn an_operations_birth_lifts_one_ballot_but_not_the_clock() {
        let mut clock = clock();
        let ballot = clock.next(1_000, Hlc::from_millis(1_900));
        assert_eq!(ballot.hlc.millis(), 1_900);
        assert_eq!(clock.now_ms(1_000), 1_000);
    }

    #[test]
    fn a_slow_clock_runs_past_the_told_ballot_from_then_on() {
        let mut clock = clock();
        clock.outbid(1_000, Ballot::new(Hlc::from_millis(4_000), ProposerId(9)));
        assert_eq!(clock.now_ms(1_000), 4_000);
        assert_eq!(clock.now_ms(2_000), 5_000);
        assert!(clock.next(1_000, Hlc(0)).hlc > Hlc::from_millis(4_000));
    }

    #[test]
    fn routers_that_outbid_each_other_do_not_run_ahead_of_the_faster_clock() {
        let mut clocks = [HybridClock::new(5_000, Rng::new(1)), HybridClock::new(5_000, Rng::new(2))];
        let walls_ms = [1_000, 1_700];
        for step in 0..20_000_usize {
            let (loser, winner, elapsed_ms) = (step % 2, (step + 1) % 2, u64::try_from(step / 8).unwrap());
            let told = clocks[winner].next(walls_ms[winner] + elapsed_ms, Hlc(0));
            clocks[loser].outbid(walls_ms[loser] + elapsed_ms, told);
            let next = clocks[loser].next(walls_ms[loser] + elapsed_ms, Hlc(0));
            assert!(next > told);
            assert_eq!(next.hlc.millis(), 1_700 + elapsed_ms);
        }
    }

    #[test]
    fn a_fast_clock_is_pulled_below_the_limit_under_a_new_name() {
        let mut clock = clock();
        let before = clock.next(100_000, Hlc(0));
        clock.pull_back(100_000, 15_000);
        let after = clock.next(100_000, Hlc(0));
        assert!(after.hlc.millis() < 15_000);
        assert_ne!(before.proposer, after.proposer);
        clock.pull_back(100_000, 15_000);
        assert_eq!(clock.proposer(), after.proposer, "nothing to pull back");
    }

    #[test]
    fn a_clock_is_not_pulled_behind_the_nodes_median() {
        // One node's clock is an hour behind, another node is gone: a majority now needs the wrong one.
        let mut clock = clock();
        for (node, node_ms) in [(1, 96_400_000), (2, 100_000_000), (3, 100_000_000)] {
            clock.observe(100_000_000, NodeIndex(node), node_ms);
        }
        clock.pull_back(100_000_000, 96_405_000);
        assert_eq!(clock.now_ms(100_000_000), 100_000_000);
    }

    #[test]
    fn a_ballot_lifted_beyond_the_limit_is_pulled_back_too() {
        let mut clock = clock();
        clock.next(1_000, Hlc::from_millis(20_000));
        clock.pull_back(1_000, 6_000);
        assert_eq!(clock.next(1_000, Hlc(0)).hlc.millis(), 1_000);
    }

    #[test]
    fn node_times_correct_an_idle_clock_both_ways() {
        let mut slow = clock();
        slow.observe(1_000, NODE, 4_000);
        assert_eq!(slow.now_ms(1_000), 4_000);
        let mut fast = clock();
        fast.observe(3_600_000, NODE, 1_000);
        assert_eq!(fast.now_ms(3_600_000), 1_000);
        let mut tolerated = clock();
        tolerated.observe(5_000, NODE, 1_000);
        assert_eq!(tolerated.now_ms(5_000), 5_000);
    }

    #[test]
    fn one_wrong_node_does_not_move_the_clock() {
        let mut clock = clock();
        for node in [1, 2] {
            clock.observe(1_000, NodeIndex(node), 1_000);
        }
        clock.observe(1_000, NodeIndex(3), 900_000);
        assert_eq!(clock.now_ms(1_000), 1_000);
    }

    #[test]
    fn a_nonsensical_ballot_told_stops_nobody() {
        let mut clock = clock();
        clock.outbid(1_000, Ballot::MAX);
        let ballots = [clock.next(1_000, Hlc(0)), clock.next(1_000, Hlc(0))];
        assert_ne!(ballots[0], ballots[1]);
        clock.pull_back(1_000, 6_000);
        assert!(clock.next(1_000, Hlc(0)).hlc.millis() < 6_000);
    }

    #[test]
    fn of_two_nodes_a_wrong_one_does_not_move_the_clock() {
        for wrong_ms in [900_000, 0] {
            let mut clock = clock();
            clock.observe(100_000, NodeIndex(1), 100_000);
            clock.observe(100_000, NodeIndex(2), wrong_ms);
            assert_eq!(clock.now_ms(100_000), 100_000, "{wrong_ms}");
        }
    }

    #[test]
    fn a_ballot_that_no_majority_would_follow_does_not_take_the_clock_along() {
        // A node with a clock an hour ahead promised a router with such a clock, and tells everyone else.
        let poison = Ballot::new(Hlc::from_millis(3_700_000), ProposerId(9));
        let mut clock = clock();
        for (node, node_ms) in [(1, 100_000), (2, 100_000), (3, 3_700_000)] {
            clock.observe(100_000, NodeIndex(node), node_ms);
        }
        clock.outbid(100_000, poison);
        assert_eq!(clock.now_ms(100_000), 105_000, "as far as a majority follows");
        clock.outbid(100_000, Ballot::new(Hlc::from_millis(104_000), ProposerId(9)));
        assert_eq!(clock.now_ms(100_000), 105_000, "never back");
    }

    proptest! {
        #[test]
        fn no_ballot_comes_twice(steps in prop::collection::vec((0_u64..20_000, 0_u64..30_000, 0_u8..4), 1..60)) {
            let mut clock = clock();
            let mut seen = std::collections::BTreeSet::new();
            for (wall_ms, other_ms, what) in steps {
                match what {
                    0 => clock.outbid(wall_ms, Ballot::new(Hlc::from_millis(other_ms), ProposerId(2))),
                    1 => clock.pull_back(wall_ms, other_ms),
                    2 => clock.observe(wall_ms, NODE, other_ms),
                    _ => {}
                }
                prop_assert!(seen.insert(clock.next(wall_ms, Hlc(0))));
            }
        }
    }
}
