//! The horizon: the one durable ballot that stands for all promises in memory.
//!
//! A node never promises or accepts at or above its horizon before a higher one is synced. So whatever it had
//! promised when it crashed lies below the horizon on its disk, and after a restart it counts every key as promised
//! there: the promises are forgotten, none is broken.
//!
//! The horizon runs about a second ahead of the ballots that come, raised in the background while there is traffic,
//! so that hardly any promise waits for a sync. After a quiet time, or when a proposer's clock is ahead, the first
//! ballot beyond it raises it on demand, and its answer waits for that one sync.
//!
//! A restarted node refuses everything below its horizon, and proposers answer a refusal by going above it. Let in at
//! once, the node would push ballots up to a second (a skewed clock: several) ahead of real time. So it waits until
//! its own clock has passed the horizon. That can't take longer than the skew that it tolerates plus the lead; a
//! horizon farther ahead means that the clock was set back, and the node says so instead of waiting for days.

use std::collections::VecDeque;

use super::boundary::Ticket;
use crate::ballot::{Ballot, Hlc};

/// Whether a node may begin to vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It may.
    Ready,
    /// Its clock has not passed the horizon of its last run yet.
    Waits {
        /// It will have at this time, in unix milliseconds.
        until_ms: u64,
    },
    /// Its clock is farther behind the horizon of its last run than a right clock can be.
    ClockBehind {
        /// The horizon in unix milliseconds.
        horizon_ms: u64,
    },
}

/// Where a shard's horizon stands, in memory and on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Horizon {
    /// The one found at start: every key counts as promised there.
    restart: Ballot,
    /// Horizons written and not known to be durable, ascending.
    pending: VecDeque<(Ballot, Ticket)>,
    /// The highest known to be durable.
    durable: Ballot,
    /// The highest ballot promised or accepted since the last tick.
    used: Option<Ballot>,
    lead_ms: u64,
}

impl Horizon {
    pub(crate) fn new(on_disk: Ballot, lead_ms: u64) -> Self {
        assert!(lead_ms >= 1, "a horizon without lead would stand at the ballots that it must be above");
        Self { restart: on_disk, pending: VecDeque::new(), durable: on_disk, used: None, lead_ms }
    }

    /// What every key counts as promised since the start.
    pub(crate) fn restart_floor(&self) -> Ballot {
        self.restart
    }

    /// The highest horizon written.
    pub(crate) fn written(&self) -> Ballot {
        self.pending.back().map_or(self.durable, |(horizon, _)| *horizon)
    }

    /// Takes note that `ballot` will be promised or accepted. Returns the horizon that must be written before, and
    /// reported by [`Self::wrote`], if the present one is not above it.
    pub(crate) fn cover(&mut self, ballot: Ballot, now_ms: u64) -> Option<Ballot> {
        self.used = self.used.max(Some(ballot));
        (ballot >= self.written()).then(|| self.ahead_of(ballot, now_ms))
    }

    /// The horizon to write in the background, if ballots were used since the last call and the present one is
    /// less than half its lead ahead.
    pub(crate) fn raise_ahead(&mut self, now_ms: u64) -> Option<Ballot> {
        let used = self.used.take()?;
        let next = self.ahead_of(used, now_ms);
        let ahead_ms = next.hlc.millis() - self.written().hlc.millis().min(next.hlc.millis());
        (ahead_ms > self.lead_ms / 2).then_some(next)
    }

    /// A horizon was put into the order of writes.
    pub(crate) fn wrote(&mut self, horizon: Ballot, ticket: Ticket) {
        assert!(horizon > self.written(), "the horizon would go down from {} to {horizon}", self.written());
        self.pending.push_back((horizon, ticket));
    }

    /// The write after which a promise of `ballot` may be told.
    pub(crate) fn wait_for(&self, ballot: Ballot) -> Ticket {
        if ballot < self.durable {
            return Ticket::NONE;
        }
        let covering = self.pending.iter().find(|(horizon, _)| ballot < *horizon);
        assert!(covering.is_some(), "{ballot} lies at or above every horizon written");
        covering.map_or(Ticket::NONE, |(_, ticket)| *ticket)
    }

    /// Everything up to `ticket` is durable.
    pub(crate) fn committed(&mut self, ticket: Ticket) {
        while let Some(&(horizon, written)) = self.pending.front()
            && written <= ticket
        {
            self.durable = horizon;
            self.pending.pop_front();
        }
    }

    pub(crate) fn readiness(&self, now_ms: u64, skew_ms_max: u64) -> Readiness {
        let horizon_ms = self.restart.hlc.millis();
        if self.restart.is_zero() || now_ms > horizon_ms {
            Readiness::Ready
        } else if horizon_ms - now_ms > skew_ms_max.saturating_add(self.lead_ms) {
            Readiness::ClockBehind { horizon_ms }
        } else {
            Readiness::Waits { until_ms: horizon_ms + 1 }
        }
    }

    fn ahead_of(&self, ballot: Ballot, now_ms: u64) -> Ballot {
        let base_ms = ballot.hlc.millis().max(now_ms);
        let horizon = Ballot::floor_of(Hlc::from_millis(base_ms.saturating_add(self.lead_ms)));
        assert!(horizon > ballot, "the horizon has run out of time above {ballot}");
        horizon
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::ProposerId;

    const LEAD_MS: u64 = 1000;

    fn ballot(ms: u64) -> Ballot {
        Ballot::new(Hlc::from_millis(ms), ProposerId(1))
    }

    fn at(ms: u64) -> Ballot {
        Ballot::floor_of(Hlc::from_millis(ms))
    }

    #[test]
    fn horizon_is_raised_on_demand_by_a_ballot_at_or_above_it() {
        let mut horizon = Horizon::new(at(5_000), LEAD_MS);
        assert_eq!(horizon.cover(ballot(4_999), 4_000), None);
        assert_eq!(horizon.wait_for(ballot(4_999)), Ticket::NONE);
        assert_eq!(horizon.cover(at(5_000), 4_000), Some(at(6_000)), "from the ballot");
        assert_eq!(horizon.cover(at(5_000), 8_000), Some(at(9_000)), "from the clock");
    }

    #[test]
    fn promise_below_a_horizon_on_its_way_waits_for_exactly_that_one() {
        let mut horizon = Horizon::new(at(1_000), LEAD_MS);
        horizon.wrote(at(2_000), Ticket(3));
        horizon.wrote(at(3_000), Ticket(8));
        assert_eq!(horizon.wait_for(ballot(999)), Ticket::NONE);
        assert_eq!(horizon.wait_for(ballot(1_000)), Ticket(3));
        assert_eq!(horizon.wait_for(ballot(2_000)), Ticket(8));
        horizon.committed(Ticket(7));
        assert_eq!(horizon.wait_for(ballot(1_000)), Ticket::NONE);
        assert_eq!(horizon.wait_for(ballot(2_000)), Ticket(8));
    }

    #[test]
    fn horizon_is_raised_in_the_background_only_while_there_is_traffic() {
        let mut horizon = Horizon::new(at(10_000), LEAD_MS);
        assert_eq!(horizon.raise_ahead(20_000), None, "no traffic");
        horizon.cover(ballot(9_400), 9_400);
        assert_eq!(horizon.raise_ahead(9_400), None, "600 ms ahead are enough");
        assert_eq!(horizon.raise_ahead(9_900), None, "no traffic since");
        horizon.cover(ballot(9_600), 9_600);
        assert_eq!(horizon.raise_ahead(9_600), Some(at(10_600)));
        horizon.cover(ballot(9_600), 2_000);
        assert_eq!(
            horizon.raise_ahead(2_000),
            Some(at(10_600)),
            "ahead of the ballots when the clock is behind"
        );
    }

    #[test]
    fn readiness_waits_for_the_clock_as_long_as_a_right_clock_can_need() {
        let horizon = Horizon::new(at(100_000), LEAD_MS);
        let table = [
            (100_001, Readiness::Ready),
            (100_000, Readiness::Waits { until_ms: 100_001 }),
            (94_000, Readiness::Waits { until_ms: 100_001 }),
            (93_999, Readiness::ClockBehind { horizon_ms: 100_000 }),
        ];
        for (now_ms, expected) in table {
            assert_eq!(horizon.readiness(now_ms, 5_000), expected, "{now_ms}");
        }
        assert_eq!(Horizon::new(Ballot::ZERO, LEAD_MS).readiness(0, 5_000), Readiness::Ready);
    }

    #[test]
    #[should_panic(expected = "the horizon would go down")]
    fn lower_horizon_written_stops_the_process() {
        Horizon::new(at(2_000), LEAD_MS).wrote(at(2_000), Ticket(1));
    }

    #[test]
    #[should_panic(expected = "at or above every horizon written")]
    fn promise_above_the_horizon_stops_the_process() {
        let _ = Horizon::new(at(2_000), LEAD_MS).wait_for(ballot(2_000));
    }
}
