//! The thread that keeps segments ready: it makes them ahead of need, and frees them by flushing the database.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rocksdb::DB;

use super::super::columns;
use super::JournalOptions;
use super::error::JournalError;
use super::segment::Segment;

/// Segments kept besides the one that is written and those that wait for a flush.
const SPARES_MAX: usize = 2;

/// A segment that nothing is written to any more.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) segment: Segment,
    pub(super) last_commit: u64,
}

/// The thread, seen from the journal. Dropping it ends the thread, after the flush that it may be busy with.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    bytes_max: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spares: Vec<Segment>,
    closed: Vec<Closed>,
    /// A spare of at least this length is to be made; 0: none.
    wanted_bytes: u64,
    /// All commits up to this one lie in sorted files.
    flushed: u64,
    /// Why no spare was made, or no segment freed.
    problem: Option<String>,
    /// The thread is to end.
    stop: bool,
    /// It has ended.
    ended: bool,
}

enum Job {
    Make(u64),
    /// Flushes; then all commits up to this one are in sorted files.
    Flush(u64),
}

impl State {
    fn has_spare(&self, bytes: u64) -> bool {
        self.spares.iter().any(|spare| spare.bytes() >= bytes)
    }

    fn job(&self) -> Option<Job> {
        // Making comes first: a flush takes long, and the next segment may be needed before it ends.
        if !self.has_spare(self.wanted_bytes) && self.wanted_bytes > 0 {
            return Some(Job::Make(self.wanted_bytes));
        }
        // After a flush that failed the database takes no writes: nothing is gained by another.
        let last = self.closed.last().filter(|_| self.problem.is_none())?;
        Some(Job::Flush(last.last_commit))
    }
}

impl Keeper {
    /// Starts the thread; it begins with a spare for a segment of `bytes`.
    pub(super) fn start(
        db: Arc<DB>,
        folder: &Path,
        options: JournalOptions,
        spares: Vec<Segment>,
        in_use: &Segment,
        flushed: u64,
    ) -> Result<Self, JournalError> {
        let next_slot = spares.iter().chain([in_use]).map(Segment::slot).max().unwrap_or(0) + 1;
        let wanted_bytes = next_bytes(in_use.bytes(), options.segment_bytes);
        let state = State { spares, flushed, wanted_bytes, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let worker = Worker {
            shared: Arc::clone(&shared),
            db,
            folder: folder.to_owned(),
            options,
            next_slot,
            makes_none: false,
        };
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || worker.run())
            .map_err(JournalError::io("start the thread of", folder))?;
        Ok(Self { shared, thread: Some(thread), bytes_max: options.segment_bytes })
    }

    /// The longest spare, of `needed` bytes at least, and up to where commits lie in sorted files. Waits until there
    /// is one.
    pub(super) fn take_spare(&self, needed: u64) -> Result<(Segment, u64), JournalError> {
        let mut state = self.shared.state();
        // What failed ahead of need may succeed now.
        state.problem = None;
        loop {
            if state.has_spare(needed)
                && let Some(longest) =
                    (0..state.spares.len()).max_by_key(|&at| state.spares.get(at).map(Segment::bytes))
            {
                let segment = state.spares.swap_remove(longest);
                state.wanted_bytes = next_bytes(segment.bytes(), self.bytes_max);
                self.shared.changed.notify_all();
                return Ok((segment, state.flushed));
            }
            if let Some(problem) = &state.problem {
                return Err(JournalError::NoRoom(problem.clone()));
            }
            if state.ended {
                return Err(JournalError::NoRoom("its thread ended".to_owned()));
            }
            if state.closed.is_empty() || state.wanted_bytes > 0 {
                state.wanted_bytes = state.wanted_bytes.max(needed);
            }
            self.shared.changed.notify_all();
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a segment that is full, to be freed.
    pub(super) fn close(&self, closed: Closed) {
        self.shared.state().closed.push(closed);
        self.shared.changed.notify_all();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It does not panic on purpose, and whoever waits for it has been told.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, problem: String) {
        self.state().problem = Some(problem);
        self.changed.notify_all();
    }
}

/// Each segment is twice as long as the one before, up to the bound.
fn next_bytes(bytes: u64, bytes_max: u64) -> u64 {
    (2 * bytes).min(bytes_max)
}

/// The thread's own state.
struct Worker {
    shared: Arc<Shared>,
    db: Arc<DB>,
    folder: PathBuf,
    options: JournalOptions,
    next_slot: u32,
    /// The last one that it tried to make was not made, and that has been told.
    makes_none: bool,
}

/// Tells whoever waits when the thread panics.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

impl Worker {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _farewell = Farewell(&shared);
        while let Some(job) = self.next_job() {
            match job {
                Job::Make(bytes) => self.make(bytes),
                Job::Flush(last_commit) => self.flush(last_commit),
            }
        }
    }

    /// Waits for something to do; `None` at the end.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.shared.state();
        loop {
            if state.stop {
                return None;
            }
            if let Some(job) = state.job() {
                return Some(job);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn make(&mut self, bytes: u64) {
        let made = Segment::make(&self.folder, self.next_slot, bytes, self.options);
        if let Err(error) = &made
            && !self.makes_none
        {
            tracing::warn!(%error, bytes, "no new segment for the journal: those that it has are used again");
        }
        self.makes_none = made.is_err();
        let mut state = self.shared.state();
        match made {
            Ok(segment) => {
                self.next_slot += 1;
                state.spares.push(segment);
            }
            Err(error) => {
                // Not tried again before one is needed: the disk may have room by then, or a segment may be free.
                state.wanted_bytes = 0;
                if state.closed.is_empty() {
                    state.problem = Some(error.to_string());
                }
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn flush(&self, last_commit: u64) {
        if let Err(error) = columns::flush_all(&self.db) {
            tracing::error!(%error, "cannot flush the database: the journal gets no more room");
            self.shared.tell(error.to_string());
            return;
        }
        let mut state = self.shared.state();
        state.flushed = state.flushed.max(last_commit);
        let (free, closed) = std::mem::take(&mut state.closed)
            .into_iter()
            .partition(|closed: &Closed| closed.last_commit <= last_commit);
        state.closed = closed;
        let free: Vec<Closed> = free;
        state.spares.extend(free.into_iter().map(|closed| closed.segment));
        state.spares.sort_by_key(|spare| std::cmp::Reverse(spare.bytes()));
        let kept = state.spares.len().min(SPARES_MAX);
        let surplus = state.spares.split_off(kept);
        drop(state);
        self.shared.changed.notify_all();
        for segment in surplus {
            if let Err(error) = segment.remove() {
                tracing::warn!(%error, "a segment of the journal that is not needed any more stays");
            }
        }
    }
}
