//! Opening a data directory, with everything that must hold before a node may answer from it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rocksdb::DB;
use roundtable_consensus::StorageId;

use super::directory::{Directory, DirectoryError};
use super::identity::{Identity, IdentityError};
use super::log::LogBounds;
use super::options::{StoreOptions, column_families, database_options, memory_only_options, write_options};
use super::wal_check::{self, WalError};
use super::{Store, StoreError};

/// Why a data directory was not opened. Nothing in it was changed, except that a new one may have been begun.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory could not be taken.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The directory's identity could not be read or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The write-ahead log is damaged before its end.
    #[error(transparent)]
    Wal(#[from] WalError),
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
    /// The entries of the replication log are not gapless: writes were lost.
    #[error(
        "the replication log in {path} jumps from entry {before} to entry {after}: writes were lost; start the node under a new id with an empty directory"
    )]
    LogGap {
        /// The directory.
        path: PathBuf,
        /// The last entry before the gap.
        before: u64,
        /// The first entry behind it.
        after: u64,
    },
    /// A record cannot be read.
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
        let identity = Identity::read(path)?;
        if identity.is_some() && !directory.has_database() {
            return Err(OpenError::DataLost { path: path.to_owned() });
        }
        wal_check::check(&directory.database(), identity.is_some())?;
        let db = open_database(&directory, options, identity.is_none())?;
        let mut store = Self {
            db,
            write: write_options(options),
            memory_only: memory_only_options(),
            storage: StorageId(0),
            log: Mutex::new(LogBounds::default()),
            poisoned: AtomicBool::new(false),
            directory,
        };
        store.storage = store.settle_identity(identity)?;
        let bounds = store.read_log_bounds()?;
        store.check_log_gapless(bounds)?;
        store.log = Mutex::new(bounds);
        Ok(store)
    }

    /// Makes file and database agree on the directory's name; a new directory gets one.
    ///
    /// The database holds the name durably before the file is written: see [`Identity`].
    fn settle_identity(&self, identity: Option<Identity>) -> Result<StorageId, OpenError> {
        let path = self.directory.path();
        let recorded = self.read_birth_record()?;
        match (identity, recorded) {
            (_, Some(record)) if record.format != super::format::FORMAT_VERSION => {
                Err(OpenError::UnknownVersion {
                    path: path.to_owned(),
                    found: record.format,
                    known: super::format::FORMAT_VERSION,
                })
            }
            (Some(file), Some(record)) if file.storage == record.storage => Ok(file.storage),
            (Some(file), found) => Err(OpenError::Mixed {
                path: path.to_owned(),
                identity: file.storage,
                database: found.map_or_else(|| "none".to_owned(), |record| record.storage.to_string()),
            }),
            (None, Some(record)) => {
                Identity { storage: record.storage }.write(path)?;
                Ok(record.storage)
            }
            (None, None) => {
                let storage = StorageId(rand::random());
                self.write_birth_record(storage)?;
                Identity { storage }.write(path)?;
                Ok(storage)
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

fn open_database(directory: &Directory, options: &StoreOptions, create: bool) -> Result<DB, OpenError> {
    let db_options = database_options(options, create);
    DB::open_cf_descriptors(&db_options, directory.database(), column_families(options))
        .map_err(|source| OpenError::Database { path: directory.path().to_owned(), source })
}
