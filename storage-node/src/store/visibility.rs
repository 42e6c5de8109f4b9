//! Commits are answered when the journal holds them, a moment before readers of the database find them.
//!
//! Whoever has to show every commit that was answered before it began waits for that moment to pass.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far the commits have come.
#[derive(Debug, Default)]
pub(super) struct Visibility {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Commits in the journal since the start.
    durable: u64,
    /// Of these, the ones that readers find.
    visible: u64,
    /// A commit is in the journal that readers will never find.
    failed: bool,
}

/// A durable commit was not taken by the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeverVisible;

impl Visibility {
    /// One more commit may be answered.
    pub(super) fn durable(&self) {
        self.state().durable += 1;
    }

    /// The database took all durable commits, or did not take the last one.
    pub(super) fn ended(&self, taken: bool) {
        let mut state = self.state();
        if taken {
            state.visible = state.durable;
        } else {
            state.failed = true;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until readers find every commit that may have been answered by now.
    ///
    /// # Errors
    /// When that will not come.
    pub(super) fn wait(&self) -> Result<(), NeverVisible> {
        let state = self.state();
        let target = state.durable;
        let behind = |state: &mut State| state.visible < target && !state.failed;
        let state = self.changed.wait_while(state, behind).unwrap_or_else(PoisonError::into_inner);
        if state.visible < target { Err(NeverVisible) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_waits_goes_on_when_the_commit_is_visible() {
        let visibility = Visibility::default();
        assert_eq!(visibility.wait(), Ok(()), "nothing was committed");
        visibility.durable();
        let (sender, waited) = mpsc::channel();
        thread::scope(|scope| {
            let _waiter = scope.spawn(|| sender.send(visibility.wait()));
            assert!(waited.recv_timeout(Duration::from_millis(20)).is_err(), "it is not visible yet");
            visibility.ended(true);
            assert_eq!(waited.recv().unwrap(), Ok(()));
        });
        assert_eq!(visibility.wait(), Ok(()));
    }

    #[test]
    fn who_waits_is_told_of_a_commit_that_never_becomes_visible() {
        let visibility = Visibility::default();
        visibility.durable();
        visibility.ended(false);
        assert_eq!(visibility.wait(), Err(NeverVisible));
    }
}
