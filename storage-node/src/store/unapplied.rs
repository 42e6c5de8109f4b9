//! What the journal holds and the database does not yet: a table that fills until it is worth writing.
//!
//! A commit is answered when the journal holds it, and durable before the database gets it. Its registers wait here, the newest of each key alone:
//! a key that is written a hundred times meanwhile is written into the database once, and all keys in their order. Who
//! decides knows these registers without the database (they are on their way, see [`roundtable_consensus::Replica`]); a
//! start finds them in the journal. Whoever has to show everything, or needs the journal's room, writes the table into
//! the database first.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rocksdb::{DB, ErrorKind, WriteBatch};
use roundtable_consensus::{Ballot, Register};

use super::columns::{self, LOG, REGISTERS, VALUES, family};
use super::dead::DeadBytes;
use super::format::{encode_register_row, encode_value_row};
use super::journal::{JournalError, JournalSeen, Progress};
use super::meta::{put_horizon, put_journal_seen};
use super::runs::Runs;

/// The database is given this many bytes at a time.
const SLICE_BYTES: usize = 256 << 10;
/// What an entry is counted for beside its key, value and history: the register and what counts its owners, the place in this
/// table, and the one among the replica's registers under way, which it has until the database holds it.
const ENTRY_BYTES: usize = 512;

/// What one commit wrote.
#[derive(Default)]
pub(super) struct Written {
    /// By row key.
    pub(super) registers: Vec<(Vec<u8>, Waiting)>,
    /// Rows of the log in the order of their seqs.
    pub(super) log: LogRows,
    /// By shard.
    pub(super) horizons: Vec<(u16, Ballot)>,
    /// Anything else, in its order.
    pub(super) others: Vec<WriteBatch>,
}

/// A register that waits.
pub(super) struct Waiting {
    pub(super) register: Arc<Register>,
    /// The place in the log of the write that left it.
    pub(super) seq: u64,
    /// Its value goes to `values`.
    pub(super) spills: bool,
    /// The value that it replaces in the database lies there.
    pub(super) was_spilled: bool,
    /// Bytes of that value.
    pub(super) replaced_bytes: u32,
}

/// Rows of the log behind each other: seq, length, bytes.
#[derive(Default)]
pub(super) struct LogRows(Vec<u8>);

impl LogRows {
    pub(super) fn push(&mut self, seq: u64, row: &[u8]) {
        self.0.extend_from_slice(&seq.to_be_bytes());
        self.0.extend_from_slice(&u32::try_from(row.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(row);
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8; 8], &[u8])> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (seq, behind) = rest.split_first_chunk::<8>()?;
            let (length, behind) = behind.split_first_chunk::<4>()?;
            let (row, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = behind;
            Some((seq, row))
        })
    }
}

/// What several commits wrote.
#[derive(Default)]
struct Table {
    registers: HashMap<Vec<u8>, Waiting>,
    log: LogRows,
    horizons: BTreeMap<u16, Ballot>,
    others: Vec<WriteBatch>,
    bytes: usize,
    /// Tombstones among the commits.
    tombstones: usize,
}

impl Table {
    fn is_empty(&self) -> bool {
        self.registers.is_empty()
            && self.log.0.is_empty()
            && self.horizons.is_empty()
            && self.others.is_empty()
    }

    fn add(&mut self, written: Written, dead: &DeadBytes) {
        let Written { registers, log, horizons, others } = written;
        self.bytes += log.0.len();
        for (row, mut waiting) in registers {
            self.bytes += waiting.register.memory_bytes();
            self.tombstones += usize::from(!waiting.register.content.is_live());
            match self.registers.entry(row) {
                Entry::Vacant(vacant) => {
                    self.bytes += ENTRY_BYTES + vacant.key().len();
                    dead.add(waiting.was_spilled, waiting.replaced_bytes);
                    vacant.insert(waiting);
                }
                Entry::Occupied(mut occupied) => {
                    let replaced = occupied.get_mut();
                    self.bytes -= replaced.register.memory_bytes();
                    // What lies in the database is what the first of them replaces.
                    waiting.was_spilled = replaced.was_spilled;
                    waiting.replaced_bytes = replaced.replaced_bytes;
                    *replaced = waiting;
                }
            }
        }
        self.log.0.extend_from_slice(&log.0);
        self.horizons.extend(horizons);
        self.others.extend(others);
    }

    /// Writes it all, a slice at a time; all of a key in one slice, so that readers find its value with its register.
    /// The first says how far the journal has it.
    fn write(&self, db: &DB, seen: JournalSeen) -> Result<(), rocksdb::Error> {
        let mut registers: Vec<(&Vec<u8>, &Waiting)> = self.registers.iter().collect();
        registers.sort_unstable_by_key(|(row, _)| *row);
        let mut slice = Slice { db, batch: WriteBatch::default() };
        put_journal_seen(db, &mut slice.batch, seen);
        for (row, waiting) in registers {
            let Waiting { register, seq, spills, was_spilled, .. } = waiting;
            match register.content.value() {
                Some(value) if *spills => {
                    slice.batch.put_cf(family(db, VALUES), row, encode_value_row(register.accepted, value));
                }
                _ if *was_spilled => slice.batch.delete_cf(family(db, VALUES), row),
                _ => {}
            }
            slice.batch.put_cf(family(db, REGISTERS), row, encode_register_row(*seq, register, *spills));
            slice.write_if_full()?;
        }
        for (seq, row) in self.log.iter() {
            slice.batch.put_cf(family(db, LOG), seq, row);
            slice.write_if_full()?;
        }
        for (shard, horizon) in &self.horizons {
            put_horizon(db, &mut slice.batch, *shard, *horizon);
        }
        slice.write()?;
        self.others.iter().try_for_each(|batch| db.write_without_wal(WriteBatch::from_data(batch.data())))
    }
}

struct Slice<'a> {
    db: &'a DB,
    batch: WriteBatch,
}

impl Slice<'_> {
    fn write_if_full(&mut self) -> Result<(), rocksdb::Error> {
        if self.batch.size_in_bytes() < SLICE_BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), rocksdb::Error> {
        self.db.write_without_wal(std::mem::take(&mut self.batch))
    }
}

/// The table that fills, and the one that is being written.
pub(super) struct Unapplied {
    filling: Mutex<Filling>,
    /// Taken by whoever writes a table, so that tables reach the database in their order. What the database refused
    /// stays here, to be written before the next.
    leaving: Mutex<Leaving>,
    /// Bytes of the table that is being written.
    leaving_bytes: AtomicUsize,
    /// All commits up to this one are in the database.
    applied: AtomicU64,
    /// What scans know of the rows in the database.
    pub(super) runs: Runs,
    /// What the database holds of values that were replaced since.
    dead: DeadBytes,
    /// Why the database takes nothing any more.
    failure: OnceLock<rocksdb::Error>,
}

#[derive(Default)]
struct Filling {
    table: Table,
    /// The last commit that was kept.
    kept: u64,
}

#[derive(Default)]
struct Leaving {
    table: Option<(Table, u64)>,
}

/// How much waits for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitingBytes {
    /// In the table that fills.
    pub(super) filling: usize,
    /// With the table that is being written.
    pub(super) all: usize,
}

/// How far the writing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// Readers find everything.
    All,
    /// The database has no room for it.
    Refused,
}

/// Why the database did not get what waits for it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] rocksdb::Error),
    /// The journal could not be made durable before.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Unapplied {
    /// Empty, behind the last commit of the journal, all of which the database has.
    pub(super) fn new(last_commit: u64) -> Self {
        Self {
            filling: Mutex::new(Filling { table: Table::default(), kept: last_commit }),
            leaving: Mutex::default(),
            leaving_bytes: AtomicUsize::new(0),
            applied: AtomicU64::new(last_commit),
            runs: Runs::default(),
            dead: DeadBytes::default(),
            failure: OnceLock::new(),
        }
    }

    /// Keeps what was just journaled. Returns the number of the commit, which is also the journal's.
    pub(super) fn keep(&self, written: Written) -> u64 {
        let mut filling = self.filling();
        filling.table.add(written, &self.dead);
        filling.kept += 1;
        filling.kept
    }

    /// What the database holds of values that were replaced or deleted.
    pub(super) fn dead(&self) -> &DeadBytes {
        &self.dead
    }

    /// Why the database takes nothing any more, if it failed otherwise than for lack of room.
    pub(super) fn failure(&self) -> Option<&rocksdb::Error> {
        self.failure.get()
    }

    /// A write or flush of the database failed. Lack of room is waited for; and at the end the database is closed under
    /// whoever still flushes it. Everything else is for good: what such a disk did is not known.
    pub(super) fn note_failure(&self, error: &rocksdb::Error) {
        if !columns::found_no_room(error) && error.kind() != ErrorKind::ShutdownInProgress {
            // The first one is the cause of the others.
            drop(self.failure.set(error.clone()));
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> WaitingBytes {
        let filling = self.filling().table.bytes;
        WaitingBytes { filling, all: filling + self.leaving_bytes.load(Ordering::Relaxed) }
    }

    /// Tombstones that wait in the table that fills, about.
    pub(super) fn tombstones(&self) -> usize {
        self.filling().table.tombstones
    }

    /// The last commit that is in the database with all before it.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Writes into the database what was kept before this is called, after it is durable in the journal: RocksDB may
    /// write any of it into sorted files at once, and a crash must not leave the database with what the journal lacks.
    ///
    /// # Errors
    /// When the journal cannot be synced, or when the database fails otherwise than for lack of room, now or before.
    /// Nothing may be written after that.
    pub(super) fn apply(&self, db: &DB, progress: &Progress) -> Result<Applied, ApplyError> {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = self.failure() {
            return Err(error.clone().into());
        }
        if leaving.table.is_some() && self.write(&mut leaving, db, progress)? == Applied::Refused {
            return Ok(Applied::Refused);
        }
        let taken = {
            let mut filling = self.filling();
            let table = std::mem::take(&mut filling.table);
            self.leaving_bytes.store(table.bytes, Ordering::Relaxed);
            (table, filling.kept)
        };
        leaving.table = Some(taken);
        self.write(&mut leaving, db, progress)
    }

    fn write(&self, leaving: &mut Leaving, db: &DB, progress: &Progress) -> Result<Applied, ApplyError> {
        let Some((table, last)) = &leaving.table else { return Ok(Applied::All) };
        progress.sync_to(*last)?;
        let seen = JournalSeen { commit: *last, segment: progress.segment_number() };
        let written = if table.is_empty() { Ok(()) } else { table.write(db, seen) };
        match written {
            Ok(()) => {
                let is_tombstone = |waiting: &Waiting| !waiting.register.content.is_live();
                self.runs.forget(table.registers.iter().map(|(row, waiting)| (row, is_tombstone(waiting))));
                self.applied.store(*last, Ordering::Release);
                leaving.table = None;
                self.leaving_bytes.store(0, Ordering::Relaxed);
                Ok(Applied::All)
            }
            Err(error) if columns::found_no_room(&error) => Ok(Applied::Refused),
            Err(error) => {
                self.note_failure(&error);
                Err(error.into())
            }
        }
    }

    fn filling(&self) -> MutexGuard<'_, Filling> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
