//! The thread that gives the room of dead values back to the disk: see [`crate::store::Reclaim`] for how, and
//! `policy.rs` for when.

mod policy;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use roundtable_consensus::DiskSpace;

use self::policy::{Seen, choose};
use crate::disk_watch::DiskWatch;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::store::{Reclaim, Reclaimed, Store, StoreError};

/// The thread's name.
pub(crate) const THREAD: &str = "reclaimer";
/// How often the disk is looked at while there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Small shares are merged no more often than this.
const REST: Duration = Duration::from_secs(10);
/// The pause after all blob files were collected and RocksDB still counts as much garbage: a long listing may hold it.
const PAUSE_IN_VAIN: Duration = Duration::from_secs(30);

/// The running thread.
#[derive(Debug)]
pub(crate) struct Reclaimer {
    stop: Arc<Stop>,
    store: Arc<Store>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Stop {
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Reclaimer {
    /// Starts it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        store: &Arc<Store>,
        disk: &Arc<DiskWatch>,
        metrics: &Arc<Metrics>,
        fault: &Fault,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let worker = Worker {
            store: Arc::clone(store),
            disk: Arc::clone(disk),
            metrics: Arc::clone(metrics),
            stop: Arc::clone(&stop),
            fault: fault.clone(),
            next_seq: store.log_bounds().next_seq,
            last_merge: None,
            owed: Vec::new(),
            in_vain_bytes: 0,
            quiet_until: None,
            lacks_room: false,
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || worker.run())?;
        Ok(Self { stop, store: Arc::clone(store), thread })
    }

    /// Ends it, and gives up what it is doing; the store can only be closed afterwards. Blocks until then.
    pub(crate) fn stop(self) {
        *self.stop.wanted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        self.store.cancel_compactions();
        // A thread that panicked has been reported as a fault.
        drop(self.thread.join());
    }
}

impl Stop {
    fn is_wanted(&self) -> bool {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long; whether the thread is to end.
    fn within(&self, time: Duration) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(wanted, time, |wanted| !*wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

struct Worker {
    store: Arc<Store>,
    disk: Arc<DiskWatch>,
    metrics: Arc<Metrics>,
    stop: Arc<Stop>,
    fault: Fault,
    /// The log's end at the last look.
    next_seq: u64,
    last_merge: Option<Instant>,
    /// To be done whatever the figures say, the last first.
    owed: Vec<Reclaim>,
    /// Bytes of blob files collected since RocksDB last counted less garbage than before.
    in_vain_bytes: u64,
    /// Nothing is done before.
    quiet_until: Option<Instant>,
    /// The last piece of work was not begun for lack of room, and that was logged.
    lacks_room: bool,
}

impl Worker {
    fn run(mut self) {
        let guard = self.fault.guard(THREAD);
        if self.disk.space() != DiskSpace::Enough {
            // What was dead at the start is not known, and all of it is wanted.
            self.owed = vec![Reclaim::MergeRegisters, Reclaim::MergeValues];
        }
        loop {
            let seen = self.look();
            let paused = self.quiet_until.is_some_and(|until| Instant::now() < until);
            let owed = self.owed.last().copied();
            if let Some(work) = owed.or_else(|| choose(&seen).filter(|_| !paused)) {
                self.work(work);
            }
            if self.stop.within(LOOK_EVERY) {
                break;
            }
        }
        drop(guard);
    }

    fn look(&mut self) -> Seen {
        self.bound_compactions();
        let next_seq = self.store.log_bounds().next_seq;
        let registers_written = next_seq.saturating_sub(std::mem::replace(&mut self.next_seq, next_seq));
        Seen {
            space: self.disk.space(),
            free_bytes: self.disk.free_bytes(),
            disk_bytes: self.disk.disk_bytes(),
            occupancy: self.store.occupancy(),
            registers_written,
            rested: self.last_merge.is_none_or(|last| last.elapsed() >= REST),
        }
    }

    /// Lets ordinary compactions collect dead values in the room above the reserve.
    fn bound_compactions(&self) {
        let room_bytes = self.disk.free_bytes().saturating_sub(self.disk.free_bytes_min()) / 2;
        if let Err(error) = self.store.collect_on_the_way(room_bytes) {
            self.end(&error);
        }
    }

    fn work(&mut self, work: Reclaim) {
        let before = self.store.occupancy();
        let started = Instant::now();
        let done = self.store.reclaim(work);
        self.disk.poll_or_log();
        match done {
            Ok(Reclaimed::Done { bytes }) => {
                let after = self.store.occupancy();
                self.metrics.observe_reclaim(work);
                self.owed.retain(|owed| *owed != work);
                self.lacks_room = false;
                if let Reclaim::CollectBlobs { .. } = work {
                    let fewer = after.blob_garbage_bytes < before.blob_garbage_bytes;
                    self.in_vain_bytes = if fewer { 0 } else { self.in_vain_bytes + bytes };
                    if self.in_vain_bytes > after.blob_bytes {
                        (self.in_vain_bytes, self.quiet_until) = (0, Some(Instant::now() + PAUSE_IN_VAIN));
                    }
                } else {
                    self.last_merge = Some(Instant::now());
                }
                tracing::debug!(
                    ?work,
                    blob_bytes_before = before.blob_bytes,
                    blob_bytes = after.blob_bytes,
                    blob_garbage_bytes = after.blob_garbage_bytes,
                    register_table_bytes = after.register_table_bytes,
                    free_bytes = self.disk.free_bytes(),
                    elapsed_ms = started.elapsed().as_millis(),
                    "room of dead values given back"
                );
            }
            Ok(Reclaimed::NoRoom { needed_bytes, free_bytes }) => {
                if !std::mem::replace(&mut self.lacks_room, true) {
                    tracing::warn!(
                        ?work,
                        needed_bytes,
                        free_bytes,
                        "no room to give that of dead values back: free some space, or enlarge the disk"
                    );
                }
            }
            Err(error @ StoreError::Space(_)) => {
                if !std::mem::replace(&mut self.lacks_room, true) {
                    tracing::warn!(%error, "the room of dead values is not given back");
                }
            }
            Err(error) => self.end(&error),
        }
    }

    /// A database that cannot be written for another reason than room is not gone on with, unless the store is being
    /// closed.
    fn end(&self, error: &StoreError) {
        if !self.stop.is_wanted() {
            self.fault.raise(&error.to_string());
        }
    }
}
