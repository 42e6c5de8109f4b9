//! The store: registers, replication log and the node's own records in one RocksDB.
//!
//! One commit is one record of the journal: registers, long values, log entries and horizons reach the disk together or
//! not at all. RocksDB gets them later, and with it every reader: see [`Store::apply`]. Commits are made by
//! one thread; reads by any. A commit that fails poisons the store: what reached the disk is not known any more, so
//! nothing is written or answered after it (see Rebello et al., "Can Applications Recover from fsync Failures?",
//! USENIX ATC 2020).

pub mod columns;
mod dead;
pub mod directory;
pub mod format;
pub mod identity;
mod journal;
mod log;
mod meta;
mod open;
pub mod options;
mod read;
mod reclaim;
mod runs;
mod scan;
pub mod sizes;
mod stats;
#[cfg(test)]
mod tests;
mod unapplied;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rocksdb::{DB, ReadOptions, WriteBatch};
use roundtable_consensus::StorageId;

use self::directory::Directory;
pub use self::format::{LogEntry, RowError};
pub use self::journal::JournalError;
use self::journal::{Journal, Progress};
pub use self::log::{LogBounds, LogDropped};
pub use self::open::OpenError;
pub use self::options::StoreOptions;
pub use self::reclaim::{Occupancy, Reclaim, Reclaimed};
pub use self::scan::Scanned;
pub use self::stats::StoreStats;
use self::unapplied::{Applied, ApplyError, Unapplied, Written};
pub use self::write::{Commit, CommitStats};

/// What went wrong below the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// RocksDB said no.
    #[error("cannot {what}: {source}")]
    Database {
        /// What was tried.
        what: &'static str,
        /// What RocksDB said.
        source: rocksdb::Error,
    },
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A row's bytes are not what this version writes.
    #[error("a row in {column} is damaged ({row}): {source}")]
    Row {
        /// The column family.
        column: &'static str,
        /// Which row.
        row: String,
        /// In what way.
        source: RowError,
    },
    /// A long value that its register points to is not there.
    #[error("the value of the key {key} in {column} is missing")]
    ValueMissing {
        /// The column family.
        column: &'static str,
        /// The key, escaped.
        key: String,
    },
    /// RocksDB stopped for lack of room, and did not go on in time.
    #[error("the database has had no room on the disk for {ROOM_PATIENCE:?}")]
    NoRoom,
    /// The file system does not tell what lies on it.
    #[error("cannot ask the file system for its files or its free space: {0}")]
    Space(std::io::Error),
    /// A commit failed before: the store takes no more.
    #[error("an earlier commit failed, so what is on the disk is not known; the store takes no more writes")]
    Poisoned,
}

impl StoreError {
    fn database(what: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |source| Self::Database { what, source }
    }

    fn apply(error: ApplyError) -> Self {
        match error {
            ApplyError::Database(error) => Self::database("write into the database")(error),
            ApplyError::Journal(error) => Self::Journal(error),
        }
    }
}

/// How long a commit waits for a database that stopped for lack of room. RocksDB looks every 5 s whether there is
/// room for one write buffer.
const ROOM_PATIENCE: Duration = Duration::from_secs(15);
const ROOM_LOOK: Duration = Duration::from_millis(100);

/// An open data directory. Dropping it closes the database and lets go of the directory's lock.
pub struct Store {
    // Declared in the order in which they end: the journal's thread uses the database, and the database is closed
    // while the directory's lock is still held.
    journal: Mutex<Journal>,
    db: Arc<DB>,
    /// For reads that must not wait for the disk.
    memory_only: ReadOptions,
    unapplied: Arc<Unapplied>,
    /// How far the journal is durable: what is applied is durable before.
    progress: Arc<Progress>,
    /// As much may wait for the database before it is written there.
    unapplied_bytes_usual: usize,
    /// As much room a compaction may take for a while.
    compaction_bytes_max: u64,
    /// Ordinary compactions collect dead long values.
    collects: AtomicBool,
    storage: StorageId,
    log: Mutex<LogBounds>,
    poisoned: AtomicBool,
    directory: Directory,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.directory.path())
            .field("storage", &self.storage)
            .finish()
    }
}

impl Store {
    /// The directory's random name.
    #[must_use]
    pub fn storage(&self) -> StorageId {
        self.storage
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Whether a commit failed.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Why the database takes nothing any more; `None` while it does, or only lacks room. The process must end: nobody
    /// may notice before the journal is full.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.unapplied.failure().map(|error| format!("the database cannot be written: {error}"))
    }

    /// Makes everything written so far durable. Needed when commits are not synced one by one.
    ///
    /// # Errors
    /// When the sync fails: the store is poisoned.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.check_not_poisoned()?;
        self.poison_on_error(self.journal().sync().map_err(StoreError::from))
    }

    /// Writes everything from memory into sorted files, so that the next start replays nothing.
    ///
    /// # Errors
    /// When RocksDB says no; what was committed stays committed.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.sync()?;
        let mut journal = self.journal();
        self.apply()?;
        columns::flush_all(&self.db).map_err(StoreError::database("flush"))?;
        self.poison_on_error(journal.note_flushed().map_err(StoreError::from))
    }

    /// Writes into the database what the journal holds and the database does not: readers of the store find it. It is
    /// made durable in the journal before.
    ///
    /// A flush that found no room keeps RocksDB from taking writes until it has noticed that there is some again,
    /// which it looks for every few seconds. What is durable waits for that.
    ///
    /// # Errors
    /// When the journal cannot be synced or the database does not take it. The store is poisoned and the process must
    /// end.
    pub fn apply(&self) -> Result<(), StoreError> {
        let until = Instant::now() + ROOM_PATIENCE;
        let apply = || self.unapplied.apply(&self.db, &self.progress).map_err(StoreError::apply);
        while self.poison_on_error(apply())? == Applied::Refused {
            if Instant::now() >= until {
                return self.poison_on_error(Err(StoreError::NoRoom));
            }
            thread::sleep(ROOM_LOOK);
        }
        Ok(())
    }

    /// The last commit that readers of the store find, with all before it.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.unapplied.applied()
    }

    /// Has what waits for the database written there by another thread when it is much; does it itself, at once, when
    /// it is twice as much with what is being written.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_if_much(&self) -> Result<(), StoreError> {
        let waiting = self.unapplied.bytes();
        if waiting.all >= 2 * self.unapplied_bytes_usual {
            self.apply()
        } else {
            if waiting.filling >= self.unapplied_bytes_usual {
                self.journal().want_apply();
            }
            Ok(())
        }
    }

    /// The one way into the database for whatever is no register's.
    fn write_batch(&self, batch: WriteBatch, sync: SyncWhen) -> Result<(), StoreError> {
        let record = batch.data().to_vec();
        let written = Written { others: vec![batch], ..Written::default() };
        self.journal_batch(&record, written, sync)?;
        self.apply()
    }

    /// Makes a commit durable, and keeps it for the database. Returns its number.
    fn journal_batch(&self, record: &[u8], written: Written, sync: SyncWhen) -> Result<u64, StoreError> {
        self.check_not_poisoned()?;
        let mut journal = self.journal();
        let appended = journal.append(record).and_then(|()| match sync {
            SyncWhen::AsOpened => Ok(()),
            SyncWhen::Now => journal.sync(),
        });
        self.poison_on_error(appended.map_err(StoreError::from))?;
        Ok(self.unapplied.keep(written))
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // A thread that panicked in the journal poisons the store: see `poison_on_error`, or the process's fault.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_not_poisoned(&self) -> Result<(), StoreError> {
        if self.is_poisoned() { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn poison_on_error<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }
}

/// When a write is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SyncWhen {
    /// As the store was opened: at once, or at the next [`Store::sync`].
    AsOpened,
    /// At once.
    Now,
}
