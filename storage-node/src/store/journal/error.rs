//! What can be wrong with a journal.

use std::io;
use std::path::PathBuf;

use roundtable_consensus::StorageId;

/// What went wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("cannot {what} the journal {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory that was in use has none.
    #[error(
        "the journal {path} is missing: writes that were answered may be lost. The node does not start without it; give it a new id and an empty directory"
    )]
    Missing {
        /// The folder, or the segment that is pointed to.
        path: PathBuf,
    },
    /// Records that were synced lie behind damage.
    #[error(
        "the journal {path} is damaged at byte {at} and whole records follow: writes that were answered would be lost. The node does not start on it; give it a new id and an empty directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
    },
    /// A segment's first block is not one.
    #[error(
        "the first block of the journal {path} is damaged: writes that were answered may be lost. The node does not start on it; give it a new id and an empty directory"
    )]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// A segment of another format version.
    #[error(
        "the journal {path} has format version {found}; this program knows version {known}: use the program that wrote it"
    )]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// Commits are missing between two segments.
    #[error(
        "the journal {path} ends at commit {before} and goes on at {after}: writes that were answered are lost. The node does not start on it; give it a new id and an empty directory"
    )]
    Gap {
        /// The folder.
        path: PathBuf,
        /// The last commit before the gap.
        before: u64,
        /// The first commit behind it.
        after: u64,
    },
    /// Segments of different directories.
    #[error("the journal {path} belongs to the storage ids {one} and {other}: directories were mixed")]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// The storage id of one segment.
        one: StorageId,
        /// That of another.
        other: StorageId,
    },
    /// What makes room in the journal stopped.
    #[error("the journal gets no more room: {0}")]
    NoRoom(String),
}

impl JournalError {
    pub(super) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
