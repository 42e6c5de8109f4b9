//! When to ask a further replica: an estimate of the round trip, as TCP makes it.

/// Smoothed round-trip time and its deviation (RFC 6298, section 2), in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    smoothed_us: u64,
    deviation_us: u64,
    heard: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { smoothed_us: 0, deviation_us: 0, heard: false }
    }

    /// Takes one measured round trip.
    pub(super) fn observe(&mut self, sample_us: u64) {
        if self.heard {
            let error = self.smoothed_us.abs_diff(sample_us);
            self.deviation_us = (3 * self.deviation_us + error) / 4;
            self.smoothed_us = (7 * self.smoothed_us + sample_us) / 8;
        } else {
            self.smoothed_us = sample_us;
            self.deviation_us = sample_us / 2;
            self.heard = true;
        }
    }

    /// How long to wait for an answer before a further replica is asked.
    pub(super) fn patience_us(&self, min_us: u64, max_us: u64) -> u64 {
        self.smoothed_us.saturating_add(4 * self.deviation_us).clamp(min_us, max_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_trips_within_its_bounds() {
        let mut pace = Pace::new();
        assert_eq!(pace.patience_us(5_000, 100_000), 5_000);
        for _ in 0..50 {
            pace.observe(10_000);
        }
        assert!((10_000..12_000).contains(&pace.patience_us(5_000, 100_000)));
        pace.observe(90_000);
        assert!(pace.patience_us(5_000, 100_000) > 90_000);
        assert_eq!(pace.patience_us(5_000, 50_000), 50_000);
    }
}
