//! The routers that a client knows, and which one it asks first.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Router addresses in the order in which they are tried, beginning with the one that answered last.
///
/// All calls of a client prefer the same router: rounds on one key are cheapest when one router runs them. Different
/// clients begin with different routers.
#[derive(Debug)]
pub(crate) struct Routers {
    /// Scheme and authority, without a path; never empty.
    addresses: Vec<Box<str>>,
    preferred: AtomicUsize,
}

impl Routers {
    /// These addresses, of which there is at least one, beginning with the one at `first`.
    pub(crate) fn new(addresses: Vec<Box<str>>, first: usize) -> Self {
        assert!(!addresses.is_empty(), "a client has at least one router");
        let preferred = AtomicUsize::new(first % addresses.len());
        Self { addresses, preferred }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.addresses.len()
    }

    /// The place of the router to ask first.
    pub(crate) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// The place of the router to ask after the one at `place` failed.
    pub(crate) fn after(&self, place: usize) -> usize {
        (place + 1) % self.addresses.len()
    }

    /// The address at this place; places wrap around.
    pub(crate) fn address(&self, place: usize) -> &str {
        self.addresses.get(place % self.addresses.len()).map_or("", |address| address)
    }

    /// Other calls turn away from the router at `place`, unless they did so already.
    pub(crate) fn failed(&self, place: usize) {
        // Only the first of many calls that failed together moves the preference on; the others find it moved.
        let next = self.after(place);
        let _moved_already =
            self.preferred.compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preference_moves_on_once_when_many_calls_fail_together() {
        let routers = Routers::new(vec!["a".into(), "b".into(), "c".into()], 4);
        assert_eq!(routers.preferred(), 1);
        for _ in 0..5 {
            routers.failed(1);
        }
        assert_eq!((routers.preferred(), routers.address(2)), (2, "c"));
        routers.failed(2);
        assert_eq!(routers.address(routers.preferred()), "a");
    }
}
