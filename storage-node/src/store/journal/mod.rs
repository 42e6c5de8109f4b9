//! The journal: every commit, synced, before it reaches RocksDB's memory and anyone hears of it.
//!
//! RocksDB's own write-ahead log grows with each record, so each sync waits for the file system's journal too. This
//! one writes into segments whose blocks were written before, directly and past the page cache: a sync is one write
//! to the device. See `docs/adr/0012-a-journal-of-written-blocks.md`; the bytes are told in `docs/on-disk-format.md`.
//!
//! A commit's record is the bytes of its write batch. What a crash took from RocksDB's memory is written there again
//! at the next start, in the same order; writing again what is there already changes nothing. A segment is used anew
//! when all its commits lie in sorted files.

mod buffer;
mod error;
mod keeper;
mod record;
mod replay;
mod segment;

use std::path::Path;
use std::sync::Arc;

use rocksdb::DB;
use roundtable_consensus::StorageId;

use self::buffer::Buffer;
pub use self::error::JournalError;
use self::keeper::{Closed, Database, Keeper};
use self::record::{Kind, Record, record_bytes};
pub(super) use self::replay::Found;
use self::segment::{Header, Segment};
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
    sync_each: bool,
    segment: Segment,
    header: Header,
    /// Where the next record goes.
    position: u64,
    next_commit: u64,
    /// The last commit that is known to be durable.
    synced: u64,
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
        let segment = longest.reopen(options)?;
        let spares = free.into_iter().map(|spare| spare.reopen(options)).collect::<Result<Vec<_>, _>>()?;
        let header = Header::new(storage, last_number + 1, last_commit + 1, last_commit);
        segment.write_header(&header)?;
        let database = Database { db: Arc::clone(db), unapplied: Arc::clone(unapplied) };
        let keeper = Keeper::start(database, &folder, options, spares, &segment, last_commit)?;
        Ok(Self {
            storage,
            sync_each: options.sync_each,
            segment,
            header,
            position: BLOCK_BYTES as u64,
            next_commit: last_commit + 1,
            synced: last_commit,
            buffer: Buffer::default(),
            keeper,
        })
    }

    /// Writes one commit; it is durable when this returns if each is to be.
    ///
    /// # Errors
    /// When it may not be on the disk. Nothing may be written after that.
    pub(super) fn append(&mut self, batch: &[u8]) -> Result<(), JournalError> {
        let bytes = record_bytes(batch.len());
        // The last block is kept for the note that the journal goes on elsewhere.
        if self.position + bytes + BLOCK_BYTES as u64 > self.segment.bytes() {
            self.go_on_in_another(bytes)?;
        }
        self.write(Kind::Commit, self.next_commit, batch)?;
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
    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        if !self.sync_each {
            self.segment.sync()?;
            self.synced = self.next_commit - 1;
        }
        Ok(())
    }

    /// Notes that every commit so far lies in sorted files: the next start writes none of them again.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(super) fn note_flushed(&mut self) -> Result<(), JournalError> {
        if self.position + 2 * BLOCK_BYTES as u64 <= self.segment.bytes() {
            self.write(Kind::Flushed, self.next_commit - 1, &[])?;
        }
        self.sync()
    }

    fn write(&mut self, kind: Kind, commit: u64, batch: &[u8]) -> Result<(), JournalError> {
        let record = Record { kind, commit, synced: self.synced };
        let bytes = self.buffer.encode(&record, batch, self.header.salt);
        self.segment.write_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        if self.sync_each && kind == Kind::Commit {
            self.synced = commit;
        }
        Ok(())
    }

    /// Ends this segment and begins another with room for `bytes`.
    ///
    /// The other's header is there before this one points to it: a pointer to nothing means that a file was lost.
    fn go_on_in_another(&mut self, bytes: u64) -> Result<(), JournalError> {
        self.sync()?;
        let last_commit = self.next_commit - 1;
        let needed = bytes + 2 * BLOCK_BYTES as u64;
        let (segment, flushed) = self.keeper.take_spare(needed)?;
        let header = Header::new(self.storage, self.header.number + 1, self.next_commit, flushed);
        segment.write_header(&header)?;
        self.write(Kind::Continued, last_commit, &[])?;
        self.sync()?;
        let full = std::mem::replace(&mut self.segment, segment);
        (self.header, self.position) = (header, BLOCK_BYTES as u64);
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
