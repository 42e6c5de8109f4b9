//! A trouble that is met again and again, logged once in a while: a loop that fails must not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// While a trouble lasts it is logged again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// One kind of trouble. Whoever meets it asks whether a line is due, and says how often it was met since the last.
#[derive(Debug, Default)]
pub struct Recurring(Mutex<Option<Ongoing>>);

#[derive(Debug)]
struct Ongoing {
    logged: Instant,
    unlogged: u64,
}

impl Recurring {
    /// No trouble yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The trouble was met. When a line is due, returns how often that was since the last line, this time included.
    #[must_use]
    pub fn met(&self) -> Option<u64> {
        self.met_at(Instant::now())
    }

    /// The trouble is over. If it had begun, returns how often it was met since the last line.
    pub fn over(&self) -> Option<u64> {
        self.lock().take().map(|ongoing| ongoing.unlogged)
    }

    fn met_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        match &mut *state {
            None => {
                *state = Some(Ongoing { logged: now, unlogged: 0 });
                Some(1)
            }
            Some(ongoing) => {
                ongoing.unlogged += 1;
                let due = now.saturating_duration_since(ongoing.logged) >= AGAIN_AFTER;
                due.then(|| {
                    ongoing.logged = now;
                    std::mem::take(&mut ongoing.unlogged)
                })
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Ongoing>> {
        // A thread that panicked while it counted has left a count.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_logged_when_it_begins_and_then_once_a_minute_with_its_count() {
        let (trouble, start) = (Recurring::new(), Instant::now());
        assert_eq!(trouble.met_at(start), Some(1));
        for second in 1..60 {
            assert_eq!(trouble.met_at(start + Duration::from_secs(second)), None);
        }
        assert_eq!(trouble.met_at(start + AGAIN_AFTER), Some(60));
        assert_eq!(trouble.met_at(start + AGAIN_AFTER), None);
        assert_eq!(trouble.over(), Some(1));
        assert_eq!(trouble.over(), None, "it was over");
        assert_eq!(trouble.met_at(start), Some(1));
    }
}
