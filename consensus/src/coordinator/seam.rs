//! Where a deliberately broken variant of the simulation reaches in. The product never does.

use super::Coordinator;
use crate::round::Slot;

impl Coordinator {
    /// Shows every operation that waits for another round to `tamper`, which may make the coordinator forget what
    /// was tried: nothing outside of it knows.
    pub fn tamper_with_waiting(&mut self, mut tamper: impl FnMut(&mut Slot)) {
        self.entries.values_mut().flat_map(|entry| &mut entry.queue).for_each(&mut tamper);
    }
}
