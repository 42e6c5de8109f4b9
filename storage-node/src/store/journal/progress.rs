//! How far the journal is written, and how far it is durable.
//!
//! The thread that commits writes; whoever is about to do something that rests on a commit (to write it into the
//! database, to remove what it replaces) makes it durable first. That may be any thread, so what it needs is here, apart
//! from the journal's own lock: who waits for room in the journal holds that, and waits for a thread that has to sync.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::JournalError;
use super::header::Header;
use super::segment::Segment;

/// See the module.
#[derive(Debug)]
pub(in super::super) struct Progress {
    /// Whether each write is durable when it returns.
    sync_each: bool,
    current: Mutex<Current>,
    /// The last commit that was written.
    written: AtomicU64,
    /// The last commit that is known to be durable. All segments before the current one are.
    durable: AtomicU64,
    /// The last commit that was named in a watermark.
    watermark: AtomicU64,
    /// A sync failed: what is on the disk is not known any more.
    failed: AtomicBool,
}

/// The segment that is being written.
#[derive(Debug, Clone)]
struct Current {
    segment: Arc<Segment>,
    salt: u64,
    number: u64,
}

impl Current {
    fn new(segment: &Arc<Segment>, header: &Header) -> Self {
        Self { segment: Arc::clone(segment), salt: header.salt, number: header.number }
    }
}

impl Progress {
    /// At the beginning of a segment; all commits before it are durable.
    pub(super) fn new(sync_each: bool, segment: &Arc<Segment>, header: &Header) -> Self {
        let last_commit = header.first_commit - 1;
        Self {
            sync_each,
            current: Mutex::new(Current::new(segment, header)),
            written: AtomicU64::new(last_commit),
            durable: AtomicU64::new(last_commit),
            watermark: AtomicU64::new(last_commit),
            failed: AtomicBool::new(false),
        }
    }

    /// The last commit that is known to be durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The number of the segment that is being written.
    pub(in super::super) fn segment_number(&self) -> u64 {
        self.current().number
    }

    /// The journal goes on in this segment; all commits so far are durable.
    pub(super) fn begin_segment(&self, segment: &Arc<Segment>, header: &Header) {
        *self.current() = Current::new(segment, header);
    }

    /// A commit was written into the current segment.
    pub(super) fn note_written(&self, commit: u64) {
        self.written.store(commit, Ordering::Release);
        if self.sync_each {
            self.durable.fetch_max(commit, Ordering::AcqRel);
        }
    }

    /// Makes everything that is written now durable, notes included.
    ///
    /// # Errors
    /// When the system says no, now or before. Nothing may be written after that.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.check()?;
        if self.sync_each {
            return Ok(());
        }
        // Read before the segment: all of it lies there or in earlier ones.
        let written = self.written.load(Ordering::Acquire);
        let segment = Arc::clone(&self.current().segment);
        // A system that failed once may say yes the next time, though it dropped what it could not write.
        segment.sync().inspect_err(|_| self.failed.store(true, Ordering::Release))?;
        self.check()?;
        self.durable.fetch_max(written, Ordering::AcqRel);
        Ok(())
    }

    /// Makes all commits up to this one durable, which was written.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub(in super::super) fn sync_to(&self, commit: u64) -> Result<(), JournalError> {
        if self.durable() >= commit { self.check() } else { self.sync() }
    }

    /// Whether every sync so far succeeded.
    ///
    /// # Errors
    /// When one did not.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        if self.failed.load(Ordering::Acquire) { Err(JournalError::SyncFailed) } else { Ok(()) }
    }

    /// Notes in the current segment how far the journal is durable, if that is news.
    ///
    /// # Errors
    /// When the system says no. The journal itself is none the worse for it.
    pub(super) fn write_watermark(&self) -> Result<(), JournalError> {
        // Read before the segment: a watermark never names a commit behind the end of its segment.
        let durable = self.durable();
        if self.watermark.swap(durable, Ordering::AcqRel) >= durable {
            return Ok(());
        }
        let Current { segment, salt, .. } = self.current().clone();
        segment.write_watermark(durable, salt)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // Nobody panics while it is locked: it is set in one store.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
