//! The commit that the journal holds and the database does not yet.
//!
//! Commits are answered when the journal holds them, a moment before readers of the database find them. There is one
//! such commit at most: before the next goes into the journal, it is written into the database. Whoever has to show
//! every commit that was answered does that too.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::{DB, WriteBatch};

use super::columns;

/// The place of that commit. Locked behind the journal, never before it.
#[derive(Default)]
pub(super) struct Unapplied {
    batch: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// There is none.
    #[default]
    None,
    /// Here it is.
    Batch(WriteBatch),
    /// The database had no room for it: it is the journal's last.
    Refused,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// Readers find everything.
    All,
    /// The database has no room for it.
    Refused,
}

impl Unapplied {
    /// Keeps what was just journaled. What was kept before has been applied.
    pub(super) fn keep(&self, batch: WriteBatch) {
        *self.state() = State::Batch(batch);
    }

    /// Writes into the database what is kept. What it refused before is taken from `last`, if that is known.
    ///
    /// # Errors
    /// When the database fails otherwise than for lack of room. Nothing may be written after that.
    pub(super) fn apply(&self, db: &DB, last: Option<&[u8]>) -> Result<Applied, rocksdb::Error> {
        let mut state = self.state();
        let batch = match (std::mem::take(&mut *state), last) {
            (State::None, _) => return Ok(Applied::All),
            (State::Batch(batch), _) => batch,
            (State::Refused, Some(last)) => WriteBatch::from_data(last),
            (State::Refused, None) => {
                *state = State::Refused;
                return Ok(Applied::Refused);
            }
        };
        // Whatever happens, nobody may take it for applied before it is.
        *state = State::Refused;
        match db.write_without_wal(batch) {
            Ok(()) => {
                *state = State::None;
                Ok(Applied::All)
            }
            Err(error) if columns::found_no_room(&error) => Ok(Applied::Refused),
            Err(error) => Err(error),
        }
    }

    /// Whether readers find everything.
    pub(super) fn is_none(&self) -> bool {
        matches!(*self.state(), State::None)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
