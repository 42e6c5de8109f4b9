//! What ends the process: a commit that failed, a thread that died.

use std::sync::Arc;
use std::thread;

use tokio::sync::watch;

/// Where threads report that the process must end. Clones report to the same place.
#[derive(Debug, Clone)]
pub struct Fault(watch::Sender<Option<Arc<str>>>);

/// Waits for the first report.
#[derive(Debug, Clone)]
pub struct FaultWatch(watch::Receiver<Option<Arc<str>>>);

impl Fault {
    /// A place to report to, and its watch.
    #[must_use]
    pub fn new() -> (Self, FaultWatch) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), FaultWatch(receiver))
    }

    /// Reports that the process must end, and why. The first report is kept.
    pub fn raise(&self, reason: &str) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(reason.into());
            }
            is_first
        });
    }

    /// Reports if the calling thread panics before the guard is dropped: a node with a dead thread must not look
    /// alive.
    #[must_use]
    pub fn guard(&self, thread_name: &'static str) -> FaultGuard {
        FaultGuard { fault: self.clone(), thread_name }
    }
}

impl FaultWatch {
    /// The first report; waits until there is one, for ever if there never is.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped and called again.
    pub async fn raised(&mut self) -> Arc<str> {
        match self.0.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The report, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }
}

/// See [`Fault::guard`].
#[derive(Debug)]
pub struct FaultGuard {
    fault: Fault,
    thread_name: &'static str,
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.fault.raise(&format!("the thread {} panicked", self.thread_name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_report_is_kept() {
        let (fault, mut watch) = Fault::new();
        assert_eq!(watch.reason(), None);
        fault.raise("one");
        fault.raise("two");
        assert_eq!(&*watch.raised().await, "one");
    }

    #[tokio::test]
    async fn thread_that_panics_is_reported() {
        let (fault, mut watch) = Fault::new();
        let guard = fault.guard("worker");
        let died = thread::spawn(move || {
            let _guard = guard;
            panic!("on purpose");
        });
        assert!(died.join().is_err());
        assert!(watch.raised().await.contains("worker"));
    }
}
