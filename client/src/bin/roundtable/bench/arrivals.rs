//! When the requests of an open loop are due: a pure function of rate, seed and number.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::bench::args::Arrivals;

/// The times at which requests are due, one after the other, counted from the begin.
#[derive(Debug)]
pub(crate) struct Schedule {
    rate: u32,
    arrivals: Arrivals,
    random: StdRng,
    number: u64,
    poisson_seconds: f64,
}

impl Schedule {
    /// So many a second.
    pub(crate) fn new(rate: u32, arrivals: Arrivals, seed: u64) -> Self {
        Self { rate, arrivals, random: StdRng::seed_from_u64(seed), number: 0, poisson_seconds: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match self.arrivals {
            Arrivals::Constant => {
                // From the number, not from the one before: no error adds up.
                let nanoseconds = u128::from(self.number) * 1_000_000_000 / u128::from(self.rate);
                self.number += 1;
                u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
            }
            Arrivals::Poisson => {
                let uniform: f64 = self.random.random();
                self.poisson_seconds -= (1.0 - uniform).ln() / f64::from(self.rate);
                Duration::try_from_secs_f64(self.poisson_seconds).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_within(seconds: u64, rate: u32, arrivals: Arrivals) -> usize {
        let end = Duration::from_secs(seconds);
        Schedule::new(rate, arrivals, 3).take_while(|at| *at < end).count()
    }

    #[test]
    fn constant_arrivals_neither_drift_nor_bunch() {
        assert_eq!(due_within(3_600, 3, Arrivals::Constant), 10_800);
        assert_eq!(due_within(100, 7_001, Arrivals::Constant), 700_100);
        let times: Vec<_> = Schedule::new(7, Arrivals::Constant, 1).take(1_000).collect();
        for pair in times.windows(2) {
            let gap = (pair[1] - pair[0]).as_nanos();
            assert!((142_857_142..=142_857_143).contains(&gap), "{gap}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_independent_users() {
        let count = due_within(100, 1_000, Arrivals::Poisson);
        // 100,000 expected, with a standard deviation of 316.
        assert!((98_700..101_300).contains(&count), "{count}");
        let times: Vec<_> = Schedule::new(1_000, Arrivals::Poisson, 3).take(100_000).collect();
        let short = times.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_millis(1)).count();
        // 1 - 1/e of the gaps are shorter than the mean.
        assert!((62_500..63_900).contains(&short), "{short}");
    }

    #[test]
    fn same_seed_gives_the_same_times() {
        let times = |seed| Schedule::new(50, Arrivals::Poisson, seed).take(100).collect::<Vec<_>>();
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }
}
