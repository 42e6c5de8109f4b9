//! Opening a data directory, with everything that must hold before a node may answer from it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rocksdb::{DB, ErrorKind, WriteBatch};
use roundtable_consensus::StorageId;

use super::directory::{Directory, DirectoryError};
use super::format::FORMAT_VERSION;
use super::identity::{Identity, IdentityError};
use super::journal::{self, Found, Journal, JournalError, JournalOptions, JournalSeen};
use super::log::LogBounds;
use super::meta::{BirthRecord, put_journal_seen, read_birth_record, read_journal_seen};
use super::options::{StoreOptions, column_families, database_options, journal_options, memory_only_options};
use super::sizes::{FileSystem, Sizes};
use super::unapplied::Unapplied;
use super::{Store, StoreError, columns};

/// Why a data directory was not opened. Nothing in it was changed, except that a new one may have been begun, and of
/// what [`Self::LogGap`] and [`Self::Store`] say.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory could not be taken.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The directory's identity could not be read or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The journal is damaged before its end, or cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is an identity and no database: the data was lost.
    #[error(
        "the data directory {path} has an identity but no database: its data is lost; start the node under a new id with an empty directory"
    )]
    DataLost {
        /// The directory.
        path: PathBuf,
    },
    /// The identity and the database are of two different directories.
    #[error(
        "the data directory {path} has the storage id {identity}, its database {database}: two directories were mixed"
    )]
    Mixed {
        /// The directory.
        path: PathBuf,
        /// The storage id in the file.
        identity: StorageId,
        /// The storage id in the database.
        database: String,
    },
    /// The database says that it is of another format version.
    #[error(
        "the database in {path} has format version {found}; this program knows version {known}: use the program that wrote it"
    )]
    UnknownVersion {
        /// The directory.
        path: PathBuf,
        /// The version in the database.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// RocksDB refuses the database.
    #[error("RocksDB refuses the database in {path}: {source}")]
    Database {
        /// The directory.
        path: PathBuf,
        /// What RocksDB said.
        source: rocksdb::Error,
    },
    /// The list of the database's files is damaged.
    #[error(
        "the list of the database's files in {path} is damaged: {source}. Most likely a power cut tore its last write. Nothing repairs it without forgetting writes that were answered: change nothing in the directory, run no `ldb repair` on it, and treat it as a lost disk (docs/operations.md, \"A damaged database\"). The other replicas have its data"
    )]
    Manifest {
        /// The directory.
        path: PathBuf,
        /// What RocksDB said.
        source: rocksdb::Error,
    },
    /// The entries of the replication log are not gapless: writes were lost.
    #[error(
        "the replication log in {path} jumps from entry {before} to entry {after}: writes were lost. What the journal still held was written into the database before that could be seen; nothing else was changed. Start the node under a new id with an empty directory"
    )]
    LogGap {
        /// The directory.
        path: PathBuf,
        /// The last entry before the gap.
        before: u64,
        /// The first entry behind it.
        after: u64,
    },
    /// A record cannot be read, or the journal's commits cannot be written into the database; some of them may be there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Opens a data directory, or begins one where there is none.
    ///
    /// # Errors
    /// When another process holds it, when it is something else, of another format version, or damaged.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let directory = Directory::take(path)?;
        let disk = FileSystem::of(path).map_err(DirectoryError::io(path))?;
        let (options, sizes) = (&options.clone().fitted(disk), Sizes::of(disk));
        let identity = Identity::read(path)?;
        if identity.is_some() && !directory.has_database() {
            return Err(OpenError::DataLost { path: path.to_owned() });
        }
        let found = find_journal(&directory, identity, journal_options(options))?;
        let storage = found.storage();
        let has_commits = found.has_commits();
        let db = Arc::new(open_database(&directory, options, sizes, identity.is_none())?);
        // Before the journal is written into it: that would give another's database this directory's name, or bring
        // older rows back over newer ones that the journal has lost.
        let birth = read_birth_record(&db)?;
        check_birth_record(path, storage, birth)?;
        if birth.is_none() && found.lacks_first_commit() {
            return Err(OpenError::DataLost { path: path.to_owned() });
        }
        found.check_against(read_journal_seen(&db)?)?;
        replay(&found, &db)?;
        let unapplied = Arc::new(Unapplied::new(found.last_commit()));
        let last_commit = found.last_commit();
        let journal = Journal::resume(found, &db, &unapplied, journal_options(options))?;
        let progress = Arc::clone(journal.progress());
        // No record of an older segment points to the one begun now: if it gets lost, this tells.
        note_journal(&db, JournalSeen { commit: last_commit, segment: progress.segment_number() })?;
        let mut store = Self {
            journal: Mutex::new(journal),
            db,
            memory_only: memory_only_options(),
            unapplied,
            progress,
            unapplied_bytes_usual: options.unapplied_bytes_usual(),
            compaction_bytes_max: sizes.compaction_bytes_max,
            collects: AtomicBool::new(false),
            storage,
            log: Mutex::new(LogBounds::default()),
            poisoned: AtomicBool::new(false),
            directory,
        };
        store.settle_identity(identity, has_commits)?;
        let bounds = store.read_log_bounds()?;
        store.check_log_gapless(bounds)?;
        store.log = Mutex::new(bounds);
        store.count_found_dead();
        Ok(store)
    }

    /// Gives a new directory its name, or finishes what an interrupted first start began.
    ///
    /// The database holds the name durably before the file is written: see [`Identity`].
    fn settle_identity(&self, identity: Option<Identity>, has_commits: bool) -> Result<(), OpenError> {
        let path = self.directory.path();
        match (identity, read_birth_record(&self.db)?) {
            (Some(_), Some(_)) => Ok(()),
            (None, Some(_)) => Ok(Identity { storage: self.storage }.write(path)?),
            // The journal tells of a database that isn't here.
            (_, None) if has_commits => Err(OpenError::DataLost { path: path.to_owned() }),
            (Some(file), None) => Err(OpenError::Mixed {
                path: path.to_owned(),
                identity: file.storage,
                database: "none".to_owned(),
            }),
            (None, None) => {
                self.write_birth_record(self.storage)?;
                Ok(Identity { storage: self.storage }.write(path)?)
            }
        }
    }

    fn check_log_gapless(&self, bounds: LogBounds) -> Result<(), OpenError> {
        match self.find_log_gap(bounds)? {
            None => Ok(()),
            Some((before, after)) => {
                Err(OpenError::LogGap { path: self.directory.path().to_owned(), before, after })
            }
        }
    }
}

/// Writes into sorted files what they may lack: then the journal begins anew, and no later start has to read this
/// again.
fn replay(found: &Found, db: &DB) -> Result<(), OpenError> {
    if !found.has_unflushed() {
        return Ok(());
    }
    // A process that was killed may have left commits in the page cache alone.
    found.sync()?;
    // Before the commits: RocksDB may make sorted files of any part of them.
    put_seen(db, found.seen())?;
    let replayed = found.replay(|batch| {
        db.write_without_wal(WriteBatch::from_data(batch)).map_err(StoreError::database("write again"))
    })?;
    columns::flush_all(db).map_err(StoreError::database("flush"))?;
    tracing::info!(commits = replayed, "commits from the journal are written into sorted files");
    Ok(())
}

fn note_journal(db: &DB, seen: JournalSeen) -> Result<(), StoreError> {
    put_seen(db, seen)?;
    columns::flush_all(db).map_err(StoreError::database("flush"))
}

fn put_seen(db: &DB, seen: JournalSeen) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    put_journal_seen(db, &mut batch, seen);
    db.write_without_wal(batch).map_err(StoreError::database("note the journal's end"))
}

/// A database that was finished has this format and the name that the journal has.
fn check_birth_record(path: &Path, storage: StorageId, found: Option<BirthRecord>) -> Result<(), OpenError> {
    match found {
        Some(record) if record.format != FORMAT_VERSION => Err(OpenError::UnknownVersion {
            path: path.to_owned(),
            found: record.format,
            known: FORMAT_VERSION,
        }),
        Some(record) if record.storage != storage => Err(OpenError::Mixed {
            path: path.to_owned(),
            identity: storage,
            database: record.storage.to_string(),
        }),
        Some(_) | None => Ok(()),
    }
}

fn open_database(
    directory: &Directory,
    options: &StoreOptions,
    sizes: Sizes,
    create: bool,
) -> Result<DB, OpenError> {
    let db_options = database_options(options, sizes, create);
    DB::open_cf_descriptors(&db_options, directory.database(), column_families(options, sizes)).map_err(
        |source| {
            let path = directory.path().to_owned();
            let is_damaged = source.kind() == ErrorKind::Corruption && source.as_ref().contains("MANIFEST-");
            if is_damaged {
                OpenError::Manifest { path, source }
            } else {
                OpenError::Database { path, source }
            }
        },
    )
}

/// The journal of the directory. One is begun where nothing is yet: before the database, so that a database without a
/// journal has lost it.
fn find_journal(
    directory: &Directory,
    identity: Option<Identity>,
    options: JournalOptions,
) -> Result<Found, OpenError> {
    let folder = directory.journal();
    match (journal::find(&folder)?, identity) {
        (Some(found), Some(identity)) if found.storage() != identity.storage => {
            let (one, other) = (found.storage(), identity.storage);
            Err(JournalError::Mixed { path: folder, one, other }.into())
        }
        (Some(found), _) => Ok(found),
        (None, None) if !directory.has_database() => {
            Ok(Found::begin(&folder, StorageId(rand::random()), options)?)
        }
        (None, _) => Err(JournalError::Missing { path: folder }.into()),
    }
}
