//! Which requests of a measurement begin, and which of them count.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// When requests begin and when they count.
#[derive(Debug)]
pub(crate) struct Window {
    /// Requests that begin, or in an open loop are due, from here on are counted.
    pub(crate) measure_from: Instant,
    /// No request begins from here on.
    pub(crate) until: Option<Instant>,
    /// How many counted requests may still begin.
    budget: Option<AtomicU64>,
}

impl Window {
    /// From one moment to another, or until so many requests have begun.
    pub(crate) fn new(measure_from: Instant, until: Option<Instant>, budget: Option<u64>) -> Self {
        Self { measure_from, until, budget: budget.map(AtomicU64::new) }
    }

    /// Whether a request may begin at this moment; whether it counts.
    pub(crate) fn admit(&self, at: Instant) -> Option<bool> {
        if self.until.is_some_and(|until| at >= until) {
            return None;
        }
        if at < self.measure_from {
            return Some(false);
        }
        match &self.budget {
            None => Some(true),
            Some(budget) => {
                let take = |left: u64| left.checked_sub(1);
                budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn window_counts_after_the_warmup_until_budget_or_end() {
        let from = Instant::now();
        let window = Window::new(from, None, Some(1));
        assert_eq!(window.admit(from - Duration::from_millis(1)), Some(false));
        assert_eq!(window.admit(from), Some(true));
        assert_eq!(window.admit(from), None, "the budget is spent");
        let window = Window::new(from, Some(from + Duration::from_secs(1)), None);
        assert_eq!(window.admit(from), Some(true));
        assert_eq!(window.admit(from + Duration::from_secs(1)), None);
    }
}
