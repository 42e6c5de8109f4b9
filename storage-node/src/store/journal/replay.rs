//! What a start finds in the journal: checked as a whole before anything of it is written into the database.
//!
//! An incomplete last record is what every power cut may leave: it was never answered, and it is dropped. Anything
//! else that is missing was answered: then the node does not start. What tells the two apart is what else names a commit
//! that was durable: each record the last one before it, the watermark of the segment, the headers of later segments, and
//! the database. All of these are headers with checksums of their own: what clients stored is never read for this.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use roundtable_consensus::StorageId;

use super::error::JournalError;
use super::header::Header;
use super::record::{HEADER_BYTES, Kind, Record, RecordHeader, record_bytes};
use super::segment::{FIRST_RECORD, Segment};
use super::{BLOCK_BYTES, FIRST_SEGMENT_BYTES, JournalOptions};

/// How much is read at a time behind the end.
const LOOK_BYTES: usize = 1 << 20;

/// A journal as it was found.
#[derive(Debug)]
pub(in super::super) struct Found {
    pub(super) folder: PathBuf,
    pub(super) storage: StorageId,
    /// All segments; those with commits that are not in sorted files come last, in their order.
    pub(super) segments: Vec<Segment>,
    /// Of the last of these, with their headers.
    needed: Vec<Header>,
    /// The number of the segment begun last.
    pub(super) last_number: u64,
    /// All commits up to this one lie in sorted files.
    flushed: u64,
    /// The last commit.
    pub(super) last_commit: u64,
}

impl Found {
    /// Begins a directory's first journal, durably.
    ///
    /// # Errors
    /// When the file system says no.
    pub(in super::super) fn begin(
        folder: &Path,
        storage: StorageId,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let make = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        };
        make().map_err(JournalError::io("make", folder))?;
        let segment = Segment::make(folder, 1, FIRST_SEGMENT_BYTES.min(options.segment_bytes), options)?;
        let header = segment.begin(storage, 1, 1, 0)?;
        Ok(Self {
            folder: folder.to_owned(),
            storage,
            segments: vec![segment],
            needed: Vec::new(),
            last_number: header.number,
            flushed: 0,
            last_commit: 0,
        })
    }

    /// The directory that it belongs to.
    pub(in super::super) fn storage(&self) -> StorageId {
        self.storage
    }

    /// Whether a commit was ever written.
    pub(in super::super) fn has_commits(&self) -> bool {
        self.last_commit > 0
    }

    /// Whether the first commit of all, which gives a database its name, lies in sorted files and not here.
    pub(in super::super) fn lacks_first_commit(&self) -> bool {
        self.flushed > 0
    }

    /// The last commit.
    pub(in super::super) fn last_commit(&self) -> u64 {
        self.last_commit
    }

    /// What the database is told of it before it gets the commits.
    pub(in super::super) fn seen(&self) -> JournalSeen {
        JournalSeen { commit: self.last_commit, segment: self.last_number }
    }

    /// Compares it with what the database says of it.
    ///
    /// # Errors
    /// When one of them lacks what the other proves to have been there.
    pub(in super::super) fn check_against(&self, database: JournalSeen) -> Result<(), JournalError> {
        let path = self.folder.clone();
        if database.commit > self.last_commit || database.segment > self.last_number {
            return Err(JournalError::Behind {
                path,
                commit: self.last_commit,
                segment: self.last_number,
                database_commit: database.commit,
                database_segment: database.segment,
            });
        }
        if database.commit < self.flushed {
            let (flushed, database_commit) = (self.flushed, database.commit);
            return Err(JournalError::DatabaseBehind { path, flushed, database_commit });
        }
        Ok(())
    }

    pub(super) fn read(folder: &Path) -> Result<Option<Self>, JournalError> {
        if !folder.exists() {
            return Ok(None);
        }
        let io_error = |source| JournalError::Io { what: "read", path: folder.to_owned(), source };
        let (mut unused, mut used) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(io_error)? {
            match Segment::read(&entry.map_err(io_error)?.path())? {
                Some((segment, Some(header))) => used.push((header, segment)),
                Some((segment, None)) => unused.push(segment),
                None => {}
            }
        }
        used.sort_by_key(|(header, _)| header.number);
        let Some((newest, _)) = used.last() else { return Ok(None) };
        let newest = *newest;
        if let Some((header, _)) = used.iter().find(|(header, _)| header.storage != newest.storage) {
            let (one, other) = (newest.storage, header.storage);
            return Err(JournalError::Mixed { path: folder.to_owned(), one, other });
        }
        let gap = |before, after| JournalError::Gap { path: folder.to_owned(), before, after };
        let needed_count = count_needed(&used).map_err(|after| gap(newest.flushed, after))?;
        let (headers, files): (Vec<Header>, Vec<Segment>) = used.into_iter().unzip();
        let first_needed = headers.len() - needed_count;
        let needed = headers.get(first_needed..).unwrap_or_default().to_vec();
        let mut found = Self {
            folder: folder.to_owned(),
            storage: newest.storage,
            segments: unused.into_iter().chain(files).collect(),
            needed,
            last_number: newest.number,
            flushed: newest.flushed,
            last_commit: newest.flushed,
        };
        found.check()?;
        Ok(Some(found))
    }

    /// Reads everything that may have to be written again, and learns where it ends.
    fn check(&mut self) -> Result<(), JournalError> {
        let mut end = End { next_commit: self.flushed + 1, flushed: self.flushed, continued: false };
        for (position, (header, segment)) in self.needed().enumerate() {
            // The first may begin with commits that are in sorted files.
            if position > 0 && header.first_commit != end.next_commit {
                let (before, after) = (end.next_commit - 1, header.first_commit);
                return Err(JournalError::Gap { path: self.folder.clone(), before, after });
            }
            let found = walk(segment, header, &mut |_| Ok::<(), JournalError>(()))?;
            end = End { flushed: end.flushed.max(found.flushed), ..found };
        }
        if end.continued {
            let path = self.folder.join(format!("segment {}", self.last_number + 1));
            return Err(JournalError::Missing { path });
        }
        (self.flushed, self.last_commit) = (end.flushed, end.next_commit - 1);
        Ok(())
    }

    /// Whether there are commits that may not be in sorted files.
    pub(in super::super) fn has_unflushed(&self) -> bool {
        self.last_commit > self.flushed
    }

    /// Makes everything durable that was found.
    ///
    /// # Errors
    /// When the system says no.
    pub(in super::super) fn sync(&self) -> Result<(), JournalError> {
        self.needed().try_for_each(|(_, segment)| segment.sync())
    }

    /// Gives every commit that may not be in sorted files to `apply`, in order; returns how many.
    ///
    /// # Errors
    /// When the journal cannot be read any more, or `apply` fails.
    pub(in super::super) fn replay<E: From<JournalError>>(
        &self,
        mut apply: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut replayed = 0;
        if !self.has_unflushed() {
            return Ok(replayed);
        }
        for (header, segment) in self.needed() {
            walk(segment, header, &mut |commit: Commit<'_>| {
                if commit.number > self.flushed {
                    replayed += 1;
                    apply(commit.batch)?;
                }
                Ok::<(), E>(())
            })?;
        }
        Ok(replayed)
    }

    fn needed(&self) -> impl Iterator<Item = (&Header, &Segment)> {
        let first = self.segments.len() - self.needed.len();
        self.needed.iter().zip(self.segments.iter().skip(first))
    }
}

/// What the database knows of the journal: it was told before it got any commit that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct JournalSeen {
    /// It may hold something of all commits up to this one.
    pub(in super::super) commit: u64,
    /// A segment of this number was begun.
    pub(in super::super) segment: u64,
}

/// How many of the last segments hold commits that were not in sorted files when the newest was begun; the first
/// commit that is there, if earlier ones are missing.
fn count_needed(used: &[(Header, Segment)]) -> Result<usize, u64> {
    let flushed = used.last().map_or(0, |(newest, _)| newest.flushed);
    let mut later: Option<&Header> = None;
    for (count, (header, _)) in (1..).zip(used.iter().rev()) {
        if later.is_some_and(|later| header.number + 1 != later.number) {
            break;
        }
        if header.first_commit <= flushed + 1 {
            return Ok(count);
        }
        later = Some(header);
    }
    Err(later.map_or(0, |later| later.first_commit))
}

/// A commit's place and bytes.
struct Commit<'a> {
    number: u64,
    batch: &'a [u8],
}

/// How a segment ends.
#[derive(Debug, Clone, Copy)]
struct End {
    next_commit: u64,
    flushed: u64,
    continued: bool,
}

fn walk<E: From<JournalError>>(
    segment: &Segment,
    header: &Header,
    visit: &mut impl FnMut(Commit<'_>) -> Result<(), E>,
) -> Result<End, E> {
    let mut end = End { next_commit: header.first_commit, flushed: header.flushed, continued: false };
    let mut position = FIRST_RECORD;
    let mut payload = Vec::new();
    while let Some(record) = read_record(segment, position, header.salt, &mut payload)? {
        let last_commit = match record.kind {
            Kind::Commit => end.next_commit,
            Kind::Flushed | Kind::Continued => end.next_commit - 1,
        };
        if record.commit != last_commit {
            // Whole, and not the next one: what was here before is gone.
            return Err(damaged(segment, position, end.next_commit).into());
        }
        match record.kind {
            Kind::Commit => {
                visit(Commit { number: record.commit, batch: &payload })?;
                end.next_commit += 1;
            }
            Kind::Flushed => end.flushed = record.commit,
            Kind::Continued => end.continued = true,
        }
        position += record_bytes(payload.len());
    }
    if proved_durable(segment, header.salt, position)? >= end.next_commit {
        return Err(damaged(segment, position, end.next_commit).into());
    }
    Ok(end)
}

fn damaged(segment: &Segment, at: u64, commit: u64) -> JournalError {
    JournalError::Damaged { path: segment.path().to_owned(), at, commit }
}

/// The last commit of which the watermark, or a record's header behind the end, says that it was durable; 0 if none.
///
/// Only headers are looked at: their checksums are salted, so nothing that clients stored passes for one, and a header
/// tells all that is needed, whether its payload is whole or not.
fn proved_durable(segment: &Segment, salt: u64, end: u64) -> Result<u64, JournalError> {
    let mut proved = segment.read_watermark(salt)?.unwrap_or(0);
    let mut blocks = vec![0; LOOK_BYTES];
    let mut position = end;
    while position < segment.bytes() {
        let left = usize::try_from(segment.bytes() - position).unwrap_or(LOOK_BYTES).min(LOOK_BYTES);
        let Some(read) = blocks.get_mut(..left) else { break };
        segment.read_at(read, position)?;
        let headers = read.chunks(BLOCK_BYTES).filter_map(|block| block.first_chunk());
        let found = headers.filter_map(|header| RecordHeader::decode(header, salt));
        proved = found.map(|header| header.proves_durable()).fold(proved, u64::max);
        position += left as u64;
    }
    Ok(proved)
}

/// The record at a position, its payload left in `payload`; `None` if there is no whole one of this use.
fn read_record(
    segment: &Segment,
    position: u64,
    salt: u64,
    payload: &mut Vec<u8>,
) -> Result<Option<Record>, JournalError> {
    let mut header = [0; HEADER_BYTES];
    let room = segment.bytes().saturating_sub(position);
    if room < BLOCK_BYTES as u64 {
        return Ok(None);
    }
    segment.read_at(&mut header, position)?;
    let Some(found) = RecordHeader::decode(&header, salt) else { return Ok(None) };
    if record_bytes(found.payload_bytes as usize) > room {
        return Ok(None);
    }
    payload.resize(found.payload_bytes as usize, 0);
    segment.read_at(payload, position + HEADER_BYTES as u64)?;
    Ok(found.has_payload(payload, salt).then_some(found.record))
}
