//! Where a deliberately broken variant of the simulation reaches in. The product never does.

use super::Coordinator;
use crate::apply::Proposal;

impl Coordinator {
    /// Shows every operation that waits for another round to `tamper`, which may make the coordinator forget what
    /// was tried: nothing outside of it knows.
    pub fn tamper_with_waiting(&mut self, tamper: impl Fn(&mut Proposal)) {
        for entry in self.entries.values_mut() {
            entry.queue.iter_mut().for_each(|slot| tamper(&mut slot.proposal));
        }
    }
}
