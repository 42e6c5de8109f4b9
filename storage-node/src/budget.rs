//! A bound on the memory that requests and replies under way may take.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counted in steps of this many bytes, so that the count fits the semaphore.
const STEP_BYTES: usize = 1024;

/// Bytes that may be under way at once. Clones share the count.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    steps: usize,
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// A budget of this many bytes, at least one step.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let steps = (bytes / STEP_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(steps)), steps }
    }

    /// Takes a share of at least this many bytes; `None` when so much is not free now. Never waits: whoever is
    /// refused says so to its caller.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Held> {
        let steps = u32::try_from(bytes.div_ceil(STEP_BYTES)).ok()?;
        Arc::clone(&self.free).try_acquire_many_owned(steps).ok().map(|permit| Held(Some(permit)))
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.steps.saturating_sub(self.free.available_permits()) * STEP_BYTES
    }
}

impl Held {
    /// No share.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |permit| permit.num_permits() * STEP_BYTES)
    }

    /// Joins two shares of one budget.
    pub fn join(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some(mine), Some(more)) => mine.merge(more),
            (mine @ None, more) => *mine = more,
            (Some(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_refuses_more_than_is_free_and_gets_shares_back() {
        let budget = Budget::new(10 * STEP_BYTES);
        let mut held = budget.take(6 * STEP_BYTES - 1).unwrap();
        assert!(budget.take(5 * STEP_BYTES).is_none());
        held.join(budget.take(4 * STEP_BYTES).unwrap());
        assert_eq!(held.bytes(), 10 * STEP_BYTES);
        assert_eq!(budget.used_bytes(), 10 * STEP_BYTES);
        drop(held);
        assert_eq!(budget.used_bytes(), 0);
        assert!(budget.take(11 * STEP_BYTES).is_none());
    }
}
