//! A wall clock that may be off, and run fast or slow.

/// One machine's wall clock, as a function of the true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WallClock {
    /// Added to the true time, in milliseconds.
    pub(crate) skew_ms: i64,
    /// Gained in a million: 50,000 gains three seconds a minute.
    pub(crate) drift_ppm: i64,
    /// The true time since which the clock drifts, in milliseconds.
    pub(crate) drifts_since_ms: u64,
}

impl WallClock {
    /// What the clock shows.
    pub(crate) fn read(&self, true_ms: u64) -> u64 {
        let since_ms = i64::try_from(true_ms.saturating_sub(self.drifts_since_ms)).unwrap_or(i64::MAX);
        let gained_ms = since_ms.saturating_mul(self.drift_ppm) / 1_000_000;
        true_ms.saturating_add_signed(self.skew_ms.saturating_add(gained_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_its_skew_and_by_what_it_gained() {
        let clock = WallClock { skew_ms: -100, drift_ppm: 50_000, drifts_since_ms: 1_000 };
        assert_eq!(clock.read(1_000), 900);
        assert_eq!(clock.read(61_000), 60_900 + 3_000);
        assert_eq!(WallClock::default().read(5), 5);
    }
}
