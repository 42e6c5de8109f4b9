//! What makes figures say less than they seem to.

use crate::bench::report::{Report, as_f64};
use crate::bench::usage::DRIVER;

/// A driver that uses more of its threads than this is busy all the time, as far as can be seen.
const BUSY_SHARE: f64 = 0.9;

/// The 99th percentile of the driver's own delay up to which it is beside the point.
const DELAY_US_MAX: u64 = 1_000;

/// The share of the target rate that counts as reached.
const REACHED_SHARE: f64 = 0.95;

impl Report {
    /// The same with what must be said of it.
    pub(crate) fn with_warnings(mut self) -> Self {
        self.warnings =
            [self.driver_busy(), self.driver_late(), self.rate_missed()].into_iter().flatten().collect();
        self
    }

    fn driver_busy(&self) -> Option<String> {
        let driver = self.processes.iter().find(|process| process.used.role == DRIVER)?;
        let cores = driver.cpu_seconds / self.seconds.max(f64::MIN_POSITIVE);
        (cores > BUSY_SHARE * f64::from(self.threads)).then(|| {
            format!(
                "the driver is the bottleneck: it used {cores:.2} of its {} thread(s); try more --threads",
                self.threads
            )
        })
    }

    fn driver_late(&self) -> Option<String> {
        let delay = self.open_loop.as_ref()?.driver_delay.as_ref()?;
        (delay.p99_us > DELAY_US_MAX).then(|| {
            format!(
                "the driver itself was late: by {:.1} ms at the 99th percentile, which is in the latencies",
                as_f64(delay.p99_us) / 1e3
            )
        })
    }

    fn rate_missed(&self) -> Option<String> {
        let open_loop = self.open_loop.as_ref()?;
        let reached = self.operations_per_second / f64::from(open_loop.rate);
        (open_loop.not_started > 0 || reached < REACHED_SHARE).then(|| {
            format!(
                "the rate was not reached: {:.0} of {} a second; {} of {} operations that were due never began, as \
                 none of the {} connection(s) was free",
                self.operations_per_second,
                open_loop.rate,
                open_loop.not_started,
                open_loop.due,
                self.connections
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::report::tests::{measured, measured_open_loop, report, used};

    #[test]
    fn quiet_measurement_has_no_warning() {
        assert_eq!(report(measured()).warnings, [""; 0]);
    }

    #[test]
    fn busy_driver_is_said_to_be_the_bottleneck() {
        let mut measured = measured();
        measured.used = vec![used("driver", "bench", 1.9)];
        let warnings = report(measured).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("0.95 of its 1 thread"), "{warnings:?}");
    }

    #[test]
    fn late_driver_and_missed_rate_are_told() {
        let warnings = report(measured_open_loop(198, 2_000)).warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("late: by 2.0 ms"), "{warnings:?}");
        assert!(warnings[1].contains("500 of 600") && warnings[1].contains("198 of 1200"), "{warnings:?}");
    }
}
