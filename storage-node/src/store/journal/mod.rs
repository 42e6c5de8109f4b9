//! The journal: every commit, synced, before it reaches RocksDB's memory and anyone hears of it.
//!
//! RocksDB's own write-ahead log grows with each record, so each sync waits for the file system's journal too. This
//! one writes into segments whose blocks were written before, directly and past the page cache: a sync is one write
//! to the device. See `docs/adr/0012-a-journal-of-written-blocks.md`; the bytes are told in `docs/on-disk-format.md`.
//!
//! What the database or its list of files is about to hold is durable here before, whatever was chosen for the durability
//! of commits: see [`Progress`] and `docs/adr/0015-the-journal-is-durable-before-the-database.md`.
//!
//! A commit's record is the bytes of its write batch. What a crash took from RocksDB's memory is written there again
//! at the next start, in the same order; writing again what is there already changes nothing. A segment is used anew
//! when all its commits lie in sorted files.

mod buffer;
mod error;
mod file;
mod header;
mod keeper;
mod progress;
mod record;
#[cfg(test)]
pub(super) mod recorder;
mod replay;
mod segment;
mod watermark;

use std::path::Path;
use std::sync::Arc;

use rocksdb::DB;
use roundtable_consensus::StorageId;

use self::buffer::Buffer;
pub use self::error::JournalError;
use self::header::Header;
use self::keeper::{Closed, Database, Keeper};
pub(super) use self::progress::Progress;
use self::record::{Kind, Record, record_bytes};
pub(super) use self::replay::{Found, JournalSeen};
use self::segment::{FIRST_RECORD, Segment};
use super::unapplied::Unapplied;

/// Writes begin and end at multiples of this: what disks and file systems ask of writes past the page cache.
pub(super) const BLOCK_BYTES: usize = 4096;
/// The first segment of a new directory. Each later one is twice as long, up to the bound in [`JournalOptions`]: a
/// node with little to write prepares little.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;

/// How a journal is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct JournalOptions {
    /// Whether each record is durable before [`Journal::append`] returns.
    pub(super) sync_each: bool,
    /// The length at which segments stop growing; a longer commit gets a longer one.
    pub(super) segment_bytes: u64,
}

/// The journal of an open store, at its end.
#[derive(Debug)]
pub(super) struct Journal {
    storage: StorageId,
    segment: Arc<Segment>,
    header: Header,
    /// Where the next record goes.
    position: u64,
    next_commit: u64,
    progress: Arc<Progress>,
    buffer: Buffer,
    keeper: Keeper,
}

impl Journal {
    /// Goes on behind what was found, all of which lies in sorted files by now: in a new segment.
    ///
    /// # Errors
    /// When the segment cannot be made, or the system gives no thread.
    pub(super) fn resume(
        found: Found,
        db: &Arc<DB>,
        unapplied: &Arc<Unapplied>,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let Found { folder, storage, segments, last_number, last_commit, .. } = found;
        let mut free = segments;
        free.sort_by_key(Segment::bytes);
        let Some(longest) = free.pop() else { return Err(JournalError::Missing { path: folder }) };
        let segment = Arc::new(longest.reopen(options)?);
        let spares = free.into_iter().map(|spare| spare.reopen(options)).collect::<Result<Vec<_>, _>>()?;
        let header = segment.begin(storage, last_number + 1, last_commit + 1, last_commit)?;
        let progress = Arc::new(Progress::new(options.sync_each, &segment, &header));
        let database = Database {
            db: Arc::clone(db),
            unapplied: Arc::clone(unapplied),
            progress: Arc::clone(&progress),
        };
        let keeper = Keeper::start(database, &folder, options, spares, &segment, last_commit)?;
        Ok(Self {
            storage,
            segment,
            header,
            position: FIRST_RECORD,
            next_commit: last_commit + 1,
            progress,
            buffer: Buffer::default(),
            keeper,
        })
    }

    /// How far it is written and durable; to be used without this journal's lock.
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Writes one commit; it is durable when this returns if each is to be.
    ///
    /// # Errors
    /// When it may not be on the disk. Nothing may be written after that.
    pub(super) fn append(&mut self, batch: &[u8]) -> Result<(), JournalError> {
        self.progress.check()?;
        let bytes = record_bytes(batch.len());
        // The last block is kept for the note that the journal goes on elsewhere.
        if self.position + bytes + BLOCK_BYTES as u64 > self.segment.bytes() {
            self.go_on_in_another(bytes)?;
        }
        self.write(Kind::Commit, self.next_commit, batch)?;
        self.progress.note_written(self.next_commit);
        self.next_commit += 1;
        Ok(())
    }

    /// Has another thread write into the database what waits for it.
    pub(super) fn want_apply(&self) {
        self.keeper.want_apply();
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// When the system says no. Nothing may be written after that.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.progress.sync()
    }

    /// Notes that every commit so far lies in sorted files: the next start writes none of them again.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(super) fn note_flushed(&mut self) -> Result<(), JournalError> {
        if self.position + 2 * BLOCK_BYTES as u64 <= self.segment.bytes() {
            self.write(Kind::Flushed, self.next_commit - 1, &[])?;
        }
        self.progress.write_watermark()?;
        self.sync()
    }

    fn write(&mut self, kind: Kind, commit: u64, batch: &[u8]) -> Result<(), JournalError> {
        let record = Record { kind, commit, durable: self.progress.durable() };
        let bytes = self.buffer.encode(&record, batch, self.header.salt);
        self.segment.write_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Ends this segment and begins another with room for `bytes`.
    ///
    /// The other's header is there before this one points to it: a pointer to nothing means that a file was lost.
    fn go_on_in_another(&mut self, bytes: u64) -> Result<(), JournalError> {
        self.sync()?;
        let last_commit = self.next_commit - 1;
        let needed = FIRST_RECORD + bytes + BLOCK_BYTES as u64;
        let (segment, flushed) = self.keeper.take_spare(needed)?;
        let header = segment.begin(self.storage, self.header.number + 1, self.next_commit, flushed)?;
        self.write(Kind::Continued, last_commit, &[])?;
        self.sync()?;
        self.progress.begin_segment(&segment, &header);
        let full = std::mem::replace(&mut self.segment, segment);
        (self.header, self.position) = (header, FIRST_RECORD);
        self.keeper.close(Closed { segment: full, last_commit }, flushed);
        Ok(())
    }
}

/// Looks at the journal of a data directory; nothing is changed. `None` where there is none.
///
/// # Errors
/// When it cannot be read, is of another format version or directory, or when commits are missing from it.
pub(super) fn find(folder: &Path) -> Result<Option<Found>, JournalError> {
    Found::read(folder)
}
