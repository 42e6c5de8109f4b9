//! What a start finds in the journal: checked as a whole before anything of it is written into the database.
//!
//! An incomplete last record is what every power cut may leave: it was never answered, and it is dropped. Anything
//! else that is missing was answered: then the node does not start. What tells the two apart is that each record says
//! which commits were durable when it was written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use roundtable_consensus::StorageId;

use super::error::JournalError;
use super::record::{HEADER_BYTES, Kind, Record, Unchecked, record_bytes};
use super::segment::{Header, Segment};
use super::{BLOCK_BYTES, FIRST_SEGMENT_BYTES, JournalOptions};

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
        let header = Header::new(storage, 1, 1, 0);
        segment.write_header(&header)?;
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

    /// Gives every commit that may not be in sorted files to `apply`, in order; returns how many.
    ///
    /// # Errors
    /// When the journal cannot be read any more, or `apply` fails.
    pub(in super::super) fn replay<E: From<JournalError>>(
        &self,
        mut apply: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut replayed = 0;
        if self.last_commit == self.flushed {
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
    let mut position = BLOCK_BYTES as u64;
    let mut payload = Vec::new();
    while let Some(record) = read_record(segment, position, header.salt, &mut payload)? {
        match record.kind {
            Kind::Commit if record.commit == end.next_commit => {
                visit(Commit { number: record.commit, batch: &payload })?;
                end.next_commit += 1;
            }
            Kind::Flushed => end.flushed = record.commit,
            Kind::Continued => end.continued = true,
            // Whole, and not the next one: what was here before is gone.
            Kind::Commit => {
                return Err(JournalError::Damaged { path: segment.path().to_owned(), at: position }.into());
            }
        }
        position += record_bytes(payload.len());
    }
    check_nothing_lost(segment, header, position, end.next_commit)?;
    Ok(end)
}

/// Behind the end there may be nothing that was written when the commit missing here was durable.
fn check_nothing_lost(
    segment: &Segment,
    header: &Header,
    end: u64,
    missing_commit: u64,
) -> Result<(), JournalError> {
    let mut payload = Vec::new();
    let mut position = end + BLOCK_BYTES as u64;
    while position < segment.bytes() {
        if let Some(record) = read_record(segment, position, header.salt, &mut payload)?
            && record.synced >= missing_commit
        {
            return Err(JournalError::Damaged { path: segment.path().to_owned(), at: end });
        }
        position += BLOCK_BYTES as u64;
    }
    Ok(())
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
    let Some(found) = Unchecked::parse(&header) else { return Ok(None) };
    if record_bytes(found.payload_bytes as usize) > room {
        return Ok(None);
    }
    payload.resize(found.payload_bytes as usize, 0);
    segment.read_at(payload, position + HEADER_BYTES as u64)?;
    Ok(found.check(payload, salt))
}
