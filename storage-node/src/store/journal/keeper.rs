//! The thread that keeps segments ready: it makes them ahead of need, and frees them by flushing the database.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rocksdb::DB;
use roundtable_common::telemetry::Recurring;
use rustix::fs::statvfs;

use super::super::columns;
use super::super::unapplied::{Applied, Unapplied};
use super::JournalOptions;
use super::error::JournalError;
use super::progress::Progress;
use super::segment::Segment;

/// How often the watermark is written, and a database that could not be flushed is looked at again.
const TICK: Duration = Duration::from_secs(1);
/// How long a commit waits for a segment while the disk has no room for one, or none for the flush that frees one.
/// RocksDB looks every 5 s whether there is room again.
const ROOM_PATIENCE: Duration = Duration::from_secs(15);
/// Room that a flush leaves: for what RocksDB itself notes about the new files.
const FLUSH_LEAVES_BYTES: u64 = 1 << 20;
/// Segments kept besides the one that is written and those that wait for a flush.
const SPARES_MAX: usize = 2;

/// The database, and what waits for it.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) db: Arc<DB>,
    pub(super) unapplied: Arc<Unapplied>,
    pub(super) progress: Arc<Progress>,
}

impl Database {
    fn apply(&self) -> Result<(), String> {
        match self.unapplied.apply(&self.db, &self.progress) {
            Ok(Applied::All) => Ok(()),
            Ok(Applied::Refused) => Err("it has no room on the disk".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn flush(&self) -> Result<(), String> {
        columns::flush_all(&self.db).map_err(|error| {
            self.unapplied.note_failure(&error);
            error.to_string()
        })
    }
}

/// A segment that nothing is written to any more.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) segment: Arc<Segment>,
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

/// A segment that can be used anew.
#[derive(Debug)]
struct Spare {
    segment: Arc<Segment>,
    /// Of its last use; all commits up to this one lie in sorted files. 0: it was never used, or that is noted.
    last_commit: u64,
}

#[derive(Debug, Default)]
struct State {
    spares: Vec<Spare>,
    closed: Vec<Closed>,
    /// A spare of at least this length is to be made; 0: none.
    wanted_bytes: u64,
    /// All commits up to this one lie in sorted files.
    flushed: u64,
    /// What the newest header says of that: at the next start all later commits are looked for in segments.
    noted: u64,
    /// What waits for the database is to be written there.
    apply_wanted: bool,
    /// Why no spare was made, or no segment freed.
    problem: Option<String>,
    /// The database takes nothing any more, and not for lack of room.
    database_failed: bool,
    /// The thread is to end.
    stop: bool,
    /// It has ended.
    ended: bool,
}

enum Job {
    Make(u64),
    /// Writes into the database what waits for it.
    Apply,
    /// Flushes; then all commits up to this one are in sorted files.
    Flush(u64),
    /// Removes one that is not needed.
    Remove(Arc<Segment>),
    /// Notes how far the journal is durable.
    WriteWatermark,
}

impl State {
    fn has_spare(&self, bytes: u64) -> bool {
        self.spares.iter().any(|spare| spare.segment.bytes() >= bytes)
    }

    /// The longest.
    fn take_spare(&mut self) -> Option<Arc<Segment>> {
        let longest = (0..self.spares.len())
            .max_by_key(|&at| self.spares.get(at).map(|spare| spare.segment.bytes()))?;
        Some(self.spares.swap_remove(longest).segment)
    }

    /// The shortest that nobody looks for, if there are too many.
    fn take_surplus(&mut self) -> Option<Arc<Segment>> {
        if self.spares.len() <= SPARES_MAX {
            return None;
        }
        let (at, _) = (self.spares.iter().enumerate())
            .filter(|(_, spare)| spare.last_commit <= self.noted)
            .min_by_key(|(_, spare)| spare.segment.bytes())?;
        Some(self.spares.swap_remove(at).segment)
    }

    fn job(&mut self) -> Option<Job> {
        // Making comes first: a flush takes long, and the next segment may be needed before it ends.
        if !self.has_spare(self.wanted_bytes) && self.wanted_bytes > 0 {
            return Some(Job::Make(self.wanted_bytes));
        }
        if std::mem::take(&mut self.apply_wanted) {
            return Some(Job::Apply);
        }
        if let Some(surplus) = self.take_surplus() {
            return Some(Job::Remove(surplus));
        }
        // One that failed is tried again when somebody asks for room, or after a while.
        let last = self.closed.last().filter(|_| self.problem.is_none())?;
        Some(Job::Flush(last.last_commit))
    }
}

impl Keeper {
    /// Starts the thread; it begins with a spare for a segment of `bytes`.
    pub(super) fn start(
        database: Database,
        folder: &Path,
        options: JournalOptions,
        spares: Vec<Segment>,
        in_use: &Segment,
        flushed: u64,
    ) -> Result<Self, JournalError> {
        let next_slot = spares.iter().chain([in_use]).map(Segment::slot).max().unwrap_or(0) + 1;
        let wanted_bytes = next_bytes(in_use.bytes(), options.segment_bytes);
        let spares =
            spares.into_iter().map(|segment| Spare { segment: Arc::new(segment), last_commit: 0 }).collect();
        let state = State { spares, flushed, noted: flushed, wanted_bytes, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let worker = Worker {
            shared: Arc::clone(&shared),
            database,
            folder: folder.to_owned(),
            options,
            next_slot,
            next_tick: Instant::now() + TICK,
            makes_none: false,
            flushes_none: false,
            marks_none: false,
            waits: Recurring::new(),
        };
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || worker.run())
            .map_err(JournalError::io("start the thread of", folder))?;
        Ok(Self { shared, thread: Some(thread), bytes_max: options.segment_bytes })
    }

    /// The longest spare, of `needed` bytes at least, and up to where commits lie in sorted files. Waits until there
    /// is one.
    pub(super) fn take_spare(&self, needed: u64) -> Result<(Arc<Segment>, u64), JournalError> {
        let mut state = self.shared.state();
        // What failed ahead of need may succeed now.
        state.problem = None;
        let until = Instant::now() + ROOM_PATIENCE;
        loop {
            if state.has_spare(needed)
                && let Some(segment) = state.take_spare()
            {
                state.wanted_bytes = next_bytes(segment.bytes(), self.bytes_max);
                self.shared.changed.notify_all();
                return Ok((segment, state.flushed));
            }
            if state.ended {
                return Err(JournalError::NoRoom("its thread ended".to_owned()));
            }
            if let Some(problem) = &state.problem {
                if state.database_failed || Instant::now() >= until {
                    return Err(JournalError::NoRoom(problem.clone()));
                }
                // There may be room by then, and the database may have noticed.
                let nothing_new = |state: &mut State| !state.has_spare(needed) && !state.ended;
                let waited = self.shared.changed.wait_timeout_while(state, TICK, nothing_new);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.problem = None;
                continue;
            }
            if state.closed.is_empty() || state.wanted_bytes > 0 {
                state.wanted_bytes = state.wanted_bytes.max(needed);
            }
            self.shared.changed.notify_all();
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has what waits for the database written there.
    pub(super) fn want_apply(&self) {
        let mut state = self.shared.state();
        if !std::mem::replace(&mut state.apply_wanted, true) {
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// Takes a segment that is full, to be freed. The header of the one behind it says, durably, that all commits up
    /// to `noted` lie in sorted files.
    pub(super) fn close(&self, closed: Closed, noted: u64) {
        let mut state = self.shared.state();
        state.closed.push(closed);
        state.noted = noted;
        drop(state);
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
    database: Database,
    folder: PathBuf,
    options: JournalOptions,
    next_slot: u32,
    next_tick: Instant,
    /// The last one that it tried to make was not made, and that has been told.
    makes_none: bool,
    /// The last flush failed, and that has been told.
    flushes_none: bool,
    /// The watermark was not written, and that has been told.
    marks_none: bool,
    /// The database did not take what waits for it.
    waits: Recurring,
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
                Job::Apply => self.apply(),
                Job::Flush(last_commit) => self.flush(last_commit),
                Job::Remove(segment) => {
                    if let Err(error) = segment.remove() {
                        tracing::warn!(%error, "a segment of the journal that is not needed any more stays");
                    }
                }
                Job::WriteWatermark => self.write_watermark(),
            }
        }
    }

    /// Waits for something to do; `None` at the end.
    fn next_job(&mut self) -> Option<Job> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        loop {
            if state.stop {
                return None;
            }
            let now = Instant::now();
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                // Who waits for room is told of the problem; who waits for a flush has it tried again.
                if !state.closed.is_empty() {
                    state.problem = None;
                }
                return Some(Job::WriteWatermark);
            }
            if let Some(job) = state.job() {
                return Some(job);
            }
            let waited = shared.changed.wait_timeout(state, self.next_tick - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Without it damage at the journal's end looks like a crash; nothing else rests on it.
    fn write_watermark(&mut self) {
        let written = self.database.progress.write_watermark();
        if let Err(error) = &written
            && !self.marks_none
        {
            tracing::warn!(%error, "cannot note in the journal how far it is durable");
        }
        self.marks_none = written.is_err();
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
                state.spares.push(Spare { segment: Arc::new(segment), last_commit: 0 });
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

    /// A flush that runs out of room keeps RocksDB from taking writes, for some seconds at least: it is not begun.
    fn check_room(&self) -> Result<(), String> {
        let disk = statvfs(&self.folder).map_err(|error| error.to_string())?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = columns::memtable_bytes(&self.database.db) + FLUSH_LEAVES_BYTES;
        if free >= needed {
            return Ok(());
        }
        Err(format!("{free} bytes are free on the disk, {needed} may be needed"))
    }

    /// What is not written here is written by the next flush, or by whoever commits when too much waits.
    fn apply(&self) {
        match self.database.apply() {
            Ok(()) => drop(self.waits.over()),
            Err(problem) => {
                if let Some(count) = self.waits.met() {
                    tracing::warn!(problem, count, "commits wait for the database");
                }
            }
        }
    }

    fn flush(&mut self, last_commit: u64) {
        let flushed =
            self.database.apply().and_then(|()| self.check_room()).and_then(|()| self.database.flush());
        if let Err(problem) = flushed {
            if !self.flushes_none {
                tracing::error!(problem, "cannot flush the database: no segment of the journal is freed");
            }
            self.flushes_none = true;
            self.shared.state().database_failed = self.database.unapplied.failure().is_some();
            self.shared.tell(problem);
            return;
        }
        if std::mem::take(&mut self.flushes_none) {
            tracing::info!("the database is flushed again");
        }
        let mut state = self.shared.state();
        state.flushed = state.flushed.max(last_commit);
        let (free, closed) = std::mem::take(&mut state.closed)
            .into_iter()
            .partition(|closed: &Closed| closed.last_commit <= last_commit);
        state.closed = closed;
        let free: Vec<Closed> = free;
        let freed = free.into_iter().map(|Closed { segment, last_commit }| Spare { segment, last_commit });
        state.spares.extend(freed);
        drop(state);
        self.shared.changed.notify_all();
    }
}
