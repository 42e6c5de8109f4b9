//! The clocks of the process, in the form that the pure core takes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roundtable_consensus::Now;
use tokio::time::Instant;

/// Reads the wall clock and a monotonic clock that starts at zero with the process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic zero is now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX), mono_us: self.mono_us() }
    }

    /// The monotonic clock in microseconds.
    #[must_use]
    pub fn mono_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The runtime's name for a reading of the monotonic clock.
    #[must_use]
    pub fn instant(&self, mono_us: u64) -> Instant {
        self.origin + Duration::from_micros(mono_us)
    }
}
