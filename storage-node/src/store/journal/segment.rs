//! A segment: a file of blocks that were all written before, so that writing them again changes nothing but them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use roundtable_consensus::StorageId;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64;

use super::buffer::Buffer;
use super::error::JournalError;
use super::{BLOCK_BYTES, JournalOptions};

const MAGIC: &[u8; 8] = b"RTJOURNL";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 16 + 4 * 8 + 8;
const EXTENSION: &str = "journal";
/// How much of a new segment is written at a time: a commit's sync waits for no more than this.
const FILL_BYTES: usize = 1 << 20;

/// A segment's first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) storage: StorageId,
    /// Counts up over all segments ever begun; 0 in a segment that was never used.
    pub(super) number: u64,
    /// Drawn anew at each use: records of earlier uses are none of this one.
    pub(super) salt: u64,
    /// The commit that its first record holds.
    pub(super) first_commit: u64,
    /// All commits up to this one lay in sorted files when it was begun.
    pub(super) flushed: u64,
}

/// A segment's file.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    slot: u32,
    bytes: u64,
}

impl Header {
    pub(super) fn new(storage: StorageId, number: u64, first_commit: u64, flushed: u64) -> Self {
        Self { storage, number, salt: rand::random(), first_commit, flushed }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32(FORMAT_VERSION);
        bytes.put_u128(self.storage.0);
        for number in [self.number, self.salt, self.first_commit, self.flushed] {
            bytes.put_u64(number);
        }
        bytes.put_u64(xxh3_64(&bytes));
        bytes
    }

    fn decode(path: &Path, header: &[u8; HEADER_BYTES]) -> Result<Self, JournalError> {
        let damaged = || JournalError::Header { path: path.to_owned() };
        let (content, checksum) = header.split_last_chunk::<8>().ok_or_else(damaged)?;
        let mut rest = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
        // Judged before the checksum, so that a later version may change all the rest.
        let found = rest.get_u32();
        if found != FORMAT_VERSION {
            return Err(JournalError::UnknownVersion { path: path.to_owned(), found, known: FORMAT_VERSION });
        }
        if xxh3_64(content) != u64::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        Ok(Self {
            storage: StorageId(rest.get_u128()),
            number: rest.get_u64(),
            salt: rest.get_u64(),
            first_commit: rest.get_u64(),
            flushed: rest.get_u64(),
        })
    }
}

impl Segment {
    /// Makes a segment of so many bytes, each of them written, and gives it its name when it is whole.
    pub(super) fn make(
        folder: &Path,
        slot: u32,
        bytes: u64,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let unfinished = folder.join(format!("{slot:04}.tmp"));
        let path = folder.join(format!("{slot:04}.{EXTENSION}"));
        let io_error = |what| JournalError::io(what, &unfinished);
        drop(File::create(&unfinished).map_err(io_error("make"))?);
        let make = || {
            let made =
                Self { file: open(&unfinished, options).map_err(io_error("make"))?, path, slot, bytes };
            made.fill().map_err(io_error("make"))?;
            made.write_header(&Header::new(StorageId(0), 0, 0, 0))?;
            made.file.sync_all().map_err(io_error("sync"))?;
            fs::rename(&unfinished, &made.path).map_err(io_error("name"))?;
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(JournalError::io("sync", folder))?;
            Ok(made)
        };
        make().inspect_err(|_| {
            // What there is of it must not keep others from the last of the room.
            drop(fs::remove_file(&unfinished));
        })
    }

    /// Opens one for reading, with its header; `None` if it was never used.
    pub(super) fn read(path: &Path) -> Result<Option<(Self, Option<Header>)>, JournalError> {
        let name = path.file_stem().and_then(|name| name.to_str());
        let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
        let Some(slot) = name.filter(|_| is_segment).and_then(|name| name.parse().ok()) else {
            return Ok(None);
        };
        let io_error = JournalError::io("read", path);
        let read = || -> io::Result<_> {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            let mut header = [0; HEADER_BYTES];
            let whole = bytes >= BLOCK_BYTES as u64;
            if whole {
                file.read_exact_at(&mut header, 0)?;
            }
            Ok((Self { path: path.to_owned(), file, slot, bytes }, header))
        };
        let (segment, header) = read().map_err(io_error)?;
        let header = Header::decode(path, &header)?;
        Ok(Some((segment, (header.number > 0).then_some(header))))
    }

    /// Opens it for writing.
    pub(super) fn reopen(self, options: JournalOptions) -> Result<Self, JournalError> {
        let file = open(&self.path, options).map_err(JournalError::io("open", &self.path))?;
        Ok(Self { file, ..self })
    }

    /// Removes the file. If that is undone by a crash, headers tell that nobody needs it.
    pub(super) fn remove(self) -> Result<(), JournalError> {
        fs::remove_file(&self.path).map_err(JournalError::io("remove", &self.path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Begins a use of the segment, durably. It is less than a sector: there afterwards, or as it was.
    pub(super) fn write_header(&self, header: &Header) -> Result<(), JournalError> {
        let mut buffer = Buffer::default();
        let block = buffer.room(BLOCK_BYTES);
        block.fill(0);
        block.iter_mut().zip(header.encode()).for_each(|(byte, from)| *byte = from);
        self.write_at(block, 0)?;
        self.sync()
    }

    /// Writes whole blocks.
    pub(super) fn write_at(&self, blocks: &[u8], position: u64) -> Result<(), JournalError> {
        self.file.write_all_at(blocks, position).map_err(JournalError::io("write", &self.path))
    }

    pub(super) fn read_at(&self, bytes: &mut [u8], position: u64) -> Result<(), JournalError> {
        self.file.read_exact_at(bytes, position).map_err(JournalError::io("read", &self.path))
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(JournalError::io("sync", &self.path))
    }

    fn fill(&self) -> io::Result<()> {
        // In one piece, where the file system can.
        match fallocate(&self.file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = Buffer::default();
        let zeroes = buffer.room(FILL_BYTES);
        zeroes.fill(0);
        let mut position = 0;
        while position < self.bytes {
            let left = usize::try_from(self.bytes - position).unwrap_or(FILL_BYTES).min(FILL_BYTES);
            self.file.write_all_at(zeroes.get(..left).unwrap_or_default(), position)?;
            position += left as u64;
        }
        Ok(())
    }
}

/// For writing: past the page cache, each write durable when it returns; or through it, to be synced later.
fn open(path: &Path, options: JournalOptions) -> io::Result<File> {
    let with = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    };
    if !options.sync_each {
        return with(OFlags::empty());
    }
    match with(OFlags::DIRECT | OFlags::DSYNC) {
        // Not every file system writes past the page cache.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => with(OFlags::DSYNC),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: JournalOptions = JournalOptions { sync_each: true, segment_bytes: 1 << 20 };

    #[test]
    fn segment_is_made_whole_and_its_header_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let made = Segment::make(dir.path(), 7, 3 * BLOCK_BYTES as u64, OPTIONS).unwrap();
        assert_eq!(fs::metadata(made.path()).unwrap().len(), made.bytes());
        let (read, header) = Segment::read(made.path()).unwrap().unwrap();
        assert_eq!((read.slot(), header), (7, None), "it was never used");
        let header = Header::new(StorageId(3), 5, 100, 90);
        made.write_header(&header).unwrap();
        assert_eq!(Segment::read(made.path()).unwrap().unwrap().1, Some(header));
        assert!(Segment::read(&dir.path().join("notes.txt")).unwrap().is_none(), "no segment");
    }

    #[test]
    fn header_with_any_changed_byte_or_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let made = Segment::make(dir.path(), 1, 2 * BLOCK_BYTES as u64, OPTIONS).unwrap();
        made.write_header(&Header::new(StorageId(3), 5, 100, 90)).unwrap();
        let whole = fs::read(made.path()).unwrap();
        for at in 0..HEADER_BYTES {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(made.path(), bytes).unwrap();
            match Segment::read(made.path()).unwrap_err() {
                JournalError::UnknownVersion { .. } => assert!((8..12).contains(&at), "{at}"),
                error => assert!(matches!(error, JournalError::Header { .. }), "{at}: {error}"),
            }
        }
        fs::write(made.path(), &whole[..100]).unwrap();
        assert!(matches!(Segment::read(made.path()), Err(JournalError::Header { .. })));
    }
}
