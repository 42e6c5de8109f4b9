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
    /// A record is missing that was durable.
    #[error(
        "the journal {path} is damaged at byte {at}: the record of commit {commit}, which was durable, is not there or not whole, so writes that were answered are lost. The node does not start on it; give it a new id and an empty directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// The commit that should be there.
        commit: u64,
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
    /// A segment is shorter or longer than it was made.
    #[error(
        "the journal {path} has {found} bytes and was made with {expected}: a part of it is lost, or it is not a whole copy. The node does not start on it; give it a new id and an empty directory"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length in its header.
        expected: u64,
    },
    /// The database holds commits that the journal should have and does not.
    #[error(
        "the journal {path} ends at commit {commit} in segment {segment}, and the database has seen commit {database_commit} and segment {database_segment}: writes that were answered are lost. The node does not start on it; give it a new id and an empty directory"
    )]
    Behind {
        /// The folder.
        path: PathBuf,
        /// The journal's last commit.
        commit: u64,
        /// The number of its newest segment.
        segment: u64,
        /// The last commit of which the database may hold something.
        database_commit: u64,
        /// The number of the newest segment that the database knows of.
        database_segment: u64,
    },
    /// The journal says that the database's files hold commits that they do not.
    #[error(
        "by the journal {path} the database holds all commits up to {flushed}, by the database those up to {database_commit}: the database is an older copy. The node does not start on it; give it a new id and an empty directory"
    )]
    DatabaseBehind {
        /// The folder.
        path: PathBuf,
        /// The last commit that lay in the database's files.
        flushed: u64,
        /// The last commit of which the database may hold something.
        database_commit: u64,
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
    /// A sync failed before.
    #[error(
        "an earlier sync of the journal failed, so what is on the disk is not known; nothing is written any more"
    )]
    SyncFailed,
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
