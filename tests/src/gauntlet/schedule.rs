//! Which faults come when: drawn from a seed before anything starts.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};

use crate::gauntlet::fault::{Fault, Kind};
use crate::gauntlet::network::{Direction, Disturbance, Rule, Span};
use crate::gauntlet::{Party, SMALL_DISK};

/// Faults begin after this, and end this long before the end.
const CALM: Duration = Duration::from_millis(700);
/// The time between the beginnings of two faults.
const GAP_MS: std::ops::Range<u64> = 200..900;
/// A restarted process is not counted on again before this.
const RECOVERY: Duration = Duration::from_millis(2_500);
/// How often a second process fails while one is down or recovers: then a majority may be missing.
const SECOND_FAILS: f64 = 0.25;
/// How wrong a clock is at most: within what nodes tolerate.
pub(super) const SKEW_MS_MAX: i64 = 3_000;

/// A fault with its times, both from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Planned {
    pub(super) from: Duration,
    pub(super) until: Duration,
    pub(super) fault: Fault,
}

/// All faults of a run in the order in which they begin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schedule(pub(super) Vec<Planned>);

impl Schedule {
    /// The schedule that `seed` gives for a run of this length, of these kinds of faults. Clocks go wrong in its
    /// second half only, so that the first half can hold expiry to the time that was asked for.
    pub(super) fn draw(seed: u64, length: Duration, nodes: usize, routers: usize, kinds: &[Kind]) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let mut draw = Draw { rng, nodes, routers, away: BTreeMap::new(), hit: BTreeMap::new() };
        let mut times: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut planned = Vec::new();
        let mut now = CALM;
        while now + CALM < length {
            // Every kind comes once before any comes again, unless it cannot come now.
            let may_skew = now >= length / 2;
            let mut order = kinds.to_vec();
            order.retain(|kind| may_skew || *kind != Kind::SkewClock);
            order.shuffle(&mut draw.rng);
            order.sort_by_key(|kind| times.get(kind).copied().unwrap_or_default());
            let drawn = order.into_iter().find_map(|kind| draw.fault(kind, now));
            if let Some((fault, lasts)) = drawn {
                *times.entry(fault.kind()).or_default() += 1;
                planned.push(Planned { from: now, until: (now + lasts).min(length - CALM), fault });
            }
            now += Duration::from_millis(draw.rng.random_range(GAP_MS));
        }
        Self(planned)
    }

    /// How many of each kind there are.
    pub(super) fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        self.0.iter().for_each(|planned| *counts.entry(planned.fault.kind()).or_default() += 1);
        counts
    }

    /// When the first clock goes wrong.
    pub(super) fn first_skew(&self) -> Option<Duration> {
        self.0.iter().find(|planned| planned.fault.kind() == Kind::SkewClock).map(|planned| planned.from)
    }
}

/// What the faults drawn so far leave free.
struct Draw {
    rng: StdRng,
    nodes: usize,
    routers: usize,
    /// Until when a process is away or recovers.
    away: BTreeMap<Party, Duration>,
    /// Until when a clock or a cable is hit.
    hit: BTreeMap<(Kind, Party), Duration>,
}

impl Draw {
    /// A fault of this kind with its length; `None` when it would hit what is hit already.
    fn fault(&mut self, kind: Kind, now: Duration) -> Option<(Fault, Duration)> {
        let lasts_ms = match kind {
            Kind::FillDisk | Kind::RaiseReserve => 1_500..3_000,
            Kind::SkewClock => 1_000..4_000,
            // Now and then longer than routers wait for an answer.
            _ if self.rng.random_bool(0.1) => 1_800..3_500,
            _ => 150..1_800,
        };
        let lasts = Duration::from_millis(self.rng.random_range(lasts_ms));
        let fault = match kind {
            Kind::KillNode => Fault::Kill(self.node()),
            Kind::KillRouter => Fault::Kill(self.router()),
            Kind::KillAllNodes => Fault::KillAllNodes(self.nodes),
            Kind::Stop => Fault::Stop(self.party()),
            Kind::FreezeNode => Fault::Freeze(self.node()),
            Kind::FreezeRouter => Fault::Freeze(self.router()),
            Kind::Cut => Fault::Network(self.span(), Rule::Cut),
            Kind::Hold => Fault::Network(self.span(), Rule::Hold),
            Kind::Lose => Fault::Network(self.span(), Rule::Lose),
            Kind::Delay => Fault::Network(self.span(), Rule::Delay(self.later(1..120))),
            Kind::Repeat => Fault::Network(self.span_there(), Rule::Repeat(self.later(5..1_500))),
            Kind::Unplug => Fault::Disturb(Disturbance::Unplug(self.party())),
            Kind::Drop => Fault::Disturb(Disturbance::Drop(self.span())),
            Kind::Narrow => {
                let direction = if self.rng.random() { Direction::There } else { Direction::Back };
                Fault::Disturb(Disturbance::Narrow(self.party(), direction))
            }
            Kind::FillDisk => Fault::FillDisk { party: SMALL_DISK, restarts: self.rng.random() },
            Kind::RaiseReserve => Fault::RaiseReserve(self.node(), if self.rng.random() { 1.3 } else { 4.0 }),
            Kind::SkewClock => {
                let party = self.party();
                Fault::SkewClock(party, self.rng.random_range(-SKEW_MS_MAX..=SKEW_MS_MAX))
            }
        };
        self.may_hit(&fault, now, lasts).then_some((fault, lasts))
    }

    fn may_hit(&mut self, fault: &Fault, now: Duration, lasts: Duration) -> bool {
        if let Fault::SkewClock(party, _)
        | Fault::Disturb(Disturbance::Unplug(party) | Disturbance::Narrow(party, _)) = fault
        {
            let place = (fault.kind(), *party);
            let is_free = self.hit.get(&place).is_none_or(|until| *until < now);
            if is_free {
                self.hit.insert(place, now + lasts);
            }
            return is_free;
        }
        let stopped = fault.stops();
        let Some(first) = stopped.first() else { return true };
        self.away.retain(|_, until| *until > now);
        let same_role = |other: &Party| std::mem::discriminant(other) == std::mem::discriminant(first);
        // All of them at once may be hit while some recover, or that would hardly ever come.
        let recovers = if stopped.len() > 1 { RECOVERY } else { Duration::ZERO };
        let is_away =
            stopped.iter().any(|party| self.away.get(party).is_some_and(|until| *until > now + recovers));
        let other_is_away = self.away.keys().any(|other| same_role(other) && !stopped.contains(other));
        let may = !is_away && (!other_is_away || self.rng.random_bool(SECOND_FAILS));
        if may {
            self.away.extend(stopped.into_iter().map(|party| (party, now + lasts + RECOVERY)));
        }
        may
    }

    fn node(&mut self) -> Party {
        Party::Node(self.rng.random_range(1..=self.nodes))
    }

    fn router(&mut self) -> Party {
        Party::Router(self.rng.random_range(1..=self.routers))
    }

    fn party(&mut self) -> Party {
        if self.rng.random() { self.node() } else { self.router() }
    }

    fn span(&mut self) -> Span {
        let caller = self.rng.random_bool(0.6).then(|| self.router());
        // A router that reaches no node, or hears from none, leaves its clients in doubt.
        let node = (caller.is_none() || self.rng.random_bool(0.6)).then(|| self.node());
        let direction = [None, Some(Direction::There), Some(Direction::Back)].choose(&mut self.rng).copied();
        Span { caller, node, direction: direction.flatten() }
    }

    fn span_there(&mut self) -> Span {
        Span { direction: Some(Direction::There), ..self.span() }
    }

    fn later(&mut self, ms: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seed: u64) -> Schedule {
        Schedule::draw(seed, Duration::from_secs(60), 3, 2, &Kind::ALL)
    }

    #[test]
    fn a_seed_gives_the_same_schedule_again() {
        assert_eq!(schedule(7), schedule(7));
        assert_ne!(schedule(7), schedule(8));
    }

    #[test]
    fn a_schedule_has_every_kind_and_ends_before_the_run() {
        for seed in 0..50 {
            let schedule = schedule(seed);
            for kind in Kind::ALL {
                assert!(schedule.counts().contains_key(&kind), "seed {seed}: no {kind}");
            }
            assert!(schedule.0.iter().all(|p| p.from <= p.until && p.until < Duration::from_secs(60)));
            assert!(schedule.first_skew() >= Some(Duration::from_secs(30)));
        }
    }

    #[test]
    fn a_process_is_never_stopped_twice_at_once() {
        for seed in 0..50 {
            let mut until: BTreeMap<Party, Duration> = BTreeMap::new();
            for planned in schedule(seed).0 {
                for party in planned.fault.stops() {
                    assert!(until.insert(party, planned.until).is_none_or(|before| before < planned.from));
                }
            }
        }
    }
}
