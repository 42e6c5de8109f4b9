//! A segment: a file of blocks that were all written before, so that writing them again changes nothing but them.
//!
//! Its first block is the header, its second the watermark; records follow.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use roundtable_consensus::StorageId;

use super::buffer::Buffer;
use super::error::JournalError;
use super::file::JournalFile;
use super::header::{HEADER_BYTES, Header};
use super::watermark::{self, WATERMARK_BYTES};
use super::{BLOCK_BYTES, JournalOptions};

/// Where the first record begins.
pub(super) const FIRST_RECORD: u64 = 2 * BLOCK_BYTES as u64;
const WATERMARK: u64 = BLOCK_BYTES as u64;
const EXTENSION: &str = "journal";
/// How much of a new segment is written at a time: a commit's sync waits for no more than this.
const FILL_BYTES: usize = 1 << 20;

/// A segment's file.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: JournalFile,
    slot: u32,
    bytes: u64,
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
            let file =
                JournalFile::open_to_write(&unfinished, options.sync_each).map_err(io_error("make"))?;
            let made = Self { file, path: path.clone(), slot, bytes };
            made.fill().map_err(io_error("make"))?;
            made.begin(StorageId(0), 0, 0, 0)?;
            made.file.sync_all().map_err(io_error("sync"))?;
            fs::rename(&unfinished, &path).map_err(io_error("name"))?;
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(JournalError::io("sync", folder))?;
            // Under its name.
            made.reopen(options)
        };
        make().inspect_err(|_| {
            // What there is of it must not keep others from the last of the room.
            drop(fs::remove_file(&unfinished));
        })
    }

    /// Opens one for reading, with its header; no header if it was never used, nothing if the file is no segment.
    ///
    /// # Errors
    /// When it cannot be read, when its header is damaged, or when it has another length than the header says.
    pub(super) fn read(path: &Path) -> Result<Option<(Self, Option<Header>)>, JournalError> {
        let name = path.file_stem().and_then(|name| name.to_str());
        let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
        let Some(slot) = name.filter(|_| is_segment).and_then(|name| name.parse().ok()) else {
            return Ok(None);
        };
        let read = || -> io::Result<_> {
            let file = JournalFile::open_to_read(path)?;
            let bytes = file.bytes()?;
            let mut header = [0; HEADER_BYTES];
            if bytes >= HEADER_BYTES as u64 {
                file.read_exact_at(&mut header, 0)?;
            }
            Ok((Self { path: path.to_owned(), file, slot, bytes }, header))
        };
        let (segment, header) = read().map_err(JournalError::io("read", path))?;
        let header = Header::decode(path, &header)?;
        if header.bytes != segment.bytes {
            let (path, found, expected) = (path.to_owned(), segment.bytes, header.bytes);
            return Err(JournalError::Length { path, found, expected });
        }
        Ok(Some((segment, (header.number > 0).then_some(header))))
    }

    /// Opens it for writing.
    pub(super) fn reopen(self, options: JournalOptions) -> Result<Self, JournalError> {
        let file = JournalFile::open_to_write(&self.path, options.sync_each)
            .map_err(JournalError::io("open", &self.path))?;
        Ok(Self { file, ..self })
    }

    /// Removes the file. If that is undone by a crash, headers tell that nobody needs it.
    pub(super) fn remove(&self) -> Result<(), JournalError> {
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

    /// Begins a use of the segment, durably. Its header is less than a sector: there afterwards, or as it was.
    pub(super) fn begin(
        &self,
        storage: StorageId,
        number: u64,
        first_commit: u64,
        flushed: u64,
    ) -> Result<Header, JournalError> {
        let header =
            Header { storage, number, salt: rand::random(), first_commit, flushed, bytes: self.bytes };
        self.write_block(&header.encode(), 0)?;
        self.sync()?;
        Ok(header)
    }

    /// Notes in the segment that this commit is durable. A crash may undo that.
    pub(super) fn write_watermark(&self, durable_commit: u64, salt: u64) -> Result<(), JournalError> {
        self.write_block(&watermark::encode(durable_commit, salt), WATERMARK)
    }

    /// The commit that was noted last as durable in this use of the segment.
    pub(super) fn read_watermark(&self, salt: u64) -> Result<Option<u64>, JournalError> {
        let mut bytes = [0; WATERMARK_BYTES];
        if self.bytes < FIRST_RECORD {
            return Ok(None);
        }
        self.read_at(&mut bytes, WATERMARK)?;
        Ok(watermark::decode(&bytes, salt))
    }

    fn write_block(&self, bytes: &[u8], position: u64) -> Result<(), JournalError> {
        let mut buffer = Buffer::default();
        let block = buffer.room(BLOCK_BYTES);
        block.fill(0);
        block.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = *from);
        self.write_at(block, position)
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
        self.file.allocate(self.bytes)?;
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
        let header = made.begin(StorageId(3), 5, 100, 90).unwrap();
        assert_eq!(Segment::read(made.path()).unwrap().unwrap().1, Some(header));
        assert!(Segment::read(&dir.path().join("notes.txt")).unwrap().is_none(), "no segment");
    }

    #[test]
    fn watermark_counts_for_the_use_in_which_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let segment = Segment::make(dir.path(), 1, 3 * BLOCK_BYTES as u64, OPTIONS).unwrap();
        // Reading past the page cache would need aligned memory.
        let read = |salt| Segment::read(segment.path()).unwrap().unwrap().0.read_watermark(salt).unwrap();
        let first = segment.begin(StorageId(3), 1, 1, 0).unwrap();
        assert_eq!(read(first.salt), None);
        segment.write_watermark(7, first.salt).unwrap();
        assert_eq!(read(first.salt), Some(7));
        let second = segment.begin(StorageId(3), 2, 8, 7).unwrap();
        assert_eq!(read(second.salt), None);
    }

    #[test]
    fn header_with_any_changed_byte_or_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let made = Segment::make(dir.path(), 1, 3 * BLOCK_BYTES as u64, OPTIONS).unwrap();
        made.begin(StorageId(3), 5, 100, 90).unwrap();
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
    }

    #[test]
    fn segment_of_another_length_is_refused_whether_it_was_used_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let made = Segment::make(dir.path(), 1, 3 * BLOCK_BYTES as u64, OPTIONS).unwrap();
        for number in [0, 5] {
            made.begin(StorageId(3), number, 100, 90).unwrap();
            let whole = fs::read(made.path()).unwrap();
            for length in [HEADER_BYTES, BLOCK_BYTES, whole.len() - 1] {
                fs::write(made.path(), &whole[..length]).unwrap();
                let error = Segment::read(made.path()).unwrap_err();
                let expected = whole.len() as u64;
                assert!(
                    matches!(error, JournalError::Length { found, expected: e, .. } if found == length as u64 && e == expected),
                    "{error}"
                );
            }
            fs::write(made.path(), &whole[..20]).unwrap();
            assert!(matches!(Segment::read(made.path()), Err(JournalError::Header { .. })));
            fs::write(made.path(), whole).unwrap();
        }
    }
}
