//! The file `IDENTITY`: what a data directory is, readable before the database is opened.
//!
//! It is written once, after the database holds the same storage id durably. So a directory with an identity and
//! without a database has lost its data, and a node refuses to start on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roundtable_common::files;
use roundtable_consensus::StorageId;
use xxhash_rust::xxh3::xxh3_64;

use super::format::FORMAT_VERSION;

/// The name of the file.
pub const FILE_NAME: &str = "IDENTITY";
const MAGIC: &[u8; 8] = b"RNDTABLE";
const FILE_BYTES: usize = 8 + 4 + 16 + 8;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The directory's random name.
    pub storage: StorageId,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system said no.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one of Roundtable's, or its checksum is wrong.
    #[error(
        "{path} is damaged ({detail}); restore it from a backup of this very directory, or start the node under a new id with an empty directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        detail: &'static str,
    },
    /// The directory is of another format version.
    #[error(
        "{path} has format version {found}; this program knows version {FORMAT_VERSION}: use the program that wrote it"
    )]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
    },
}

impl Identity {
    /// Reads the identity of a data directory; `None` if it has none yet.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is of another format version.
    pub fn read(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(FILE_NAME);
        match fs::read(&path) {
            Ok(bytes) => Self::decode(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::Io { path, source }),
        }
    }

    /// Writes the identity so that after a crash it is there whole or not at all.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn write(self, directory: &Path) -> Result<(), IdentityError> {
        let path = directory.join(FILE_NAME);
        files::replace(&path, &self.encode()).map_err(|source| IdentityError::Io { path, source })
    }

    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.storage.0.to_be_bytes());
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self, IdentityError> {
        let damaged = |detail| IdentityError::Damaged { path: path.to_owned(), detail };
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Err(damaged("too short")) };
        if magic != MAGIC {
            return Err(damaged("wrong magic"));
        }
        // The version is judged before length and checksum: a later version may change both.
        let Some((version, rest)) = rest.split_first_chunk::<4>() else { return Err(damaged("too short")) };
        let found = u32::from_be_bytes(*version);
        if found != FORMAT_VERSION {
            return Err(IdentityError::UnknownVersion { path: path.to_owned(), found });
        }
        let Some((storage, rest)) = rest.split_first_chunk::<16>() else { return Err(damaged("too short")) };
        let Ok(checksum) = <[u8; 8]>::try_from(rest) else { return Err(damaged("wrong length")) };
        let summed = bytes.get(..FILE_BYTES - 8).map(xxh3_64);
        if summed != Some(u64::from_be_bytes(checksum)) {
            return Err(damaged("wrong checksum"));
        }
        Ok(Self { storage: StorageId(u128::from_be_bytes(*storage)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { storage: StorageId(42) };

    #[test]
    fn identity_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Identity::read(dir.path()).unwrap(), None);
        IDENTITY.write(dir.path()).unwrap();
        assert_eq!(Identity::read(dir.path()).unwrap(), Some(IDENTITY));
    }

    #[test]
    fn identity_with_any_byte_changed_is_refused() {
        let good = IDENTITY.encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Identity::decode(&bad, Path::new("x")).is_err(), "{at}");
            assert!(Identity::decode(&good[..at], Path::new("x")).is_err(), "{at}");
        }
    }

    #[test]
    fn identity_of_a_later_version_names_both_versions() {
        let mut bytes = IDENTITY.encode();
        bytes[11] = 9;
        let error = Identity::decode(&bytes, Path::new("x")).unwrap_err().to_string();
        assert!(error.contains("version 9") && error.contains("version 1"), "{error}");
    }
}
