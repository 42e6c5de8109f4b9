//! Scans: a node's keys in order, a page at a time.

use bytes::Bytes;
use roundtable_consensus::{
    Fold, Key, KeyRange, PageEnd, PartitionId, ScanEntry, ScanPage, ScanRequest, Span,
};

use super::error::WireError;
use super::frame::{self, Kind};
use super::reader::Reader;
use super::register::{self, register_size_hint};
use super::requests::read_key;
use super::target::{Refused, Target};
use super::writer::{Writer, when};

/// Partitions in one scan at most: all that there can be.
const PARTITIONS_MAX: usize = 65_536;
/// Entries in one page at most.
const ENTRIES_MAX: usize = 1 << 20;
/// Spans in one page at most.
const SPANS_MAX: usize = 1 << 20;
/// Partition, counts, digest, and no end.
const SPAN_BYTES_MIN: usize = 2 + 4 + 4 + 16 + 1;
/// Partition, key of one byte, and the shortest register.
const ENTRY_BYTES_MIN: usize = 2 + 2 + 1 + 1 + 16 + 4;

mod flag {
    pub(super) const REVERSE: u8 = 1;
    pub(super) const WANT_VALUES: u8 = 2;
    pub(super) const HAS_END: u8 = 4;
    pub(super) const FOLD_TOMBSTONES: u8 = 8;
    pub(super) const FOLD_SETTLED: u8 = 16;
    pub(super) const KNOWN: u8 = 31;
}

/// What came back for a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageReply {
    /// Who answers; see [`Target::unbound`] for a node that has adopted no configuration.
    pub sender: Target,
    /// The node's unix milliseconds when it answered.
    pub node_ms: u64,
    /// The page, or why the node gave none.
    pub outcome: Result<ScanPage, Refused>,
}

impl PageReply {
    /// The page, if who answers is who was meant.
    ///
    /// # Errors
    /// Why the node gave none, or in what it is another one than was meant.
    pub fn from_target(self, target: &Target) -> Result<ScanPage, Refused> {
        let page = self.outcome?;
        target.check(&self.sender)?;
        Ok(page)
    }
}

/// Makes the body of a scan.
#[must_use]
pub fn encode_scan(target: &Target, scan: &ScanRequest) -> Bytes {
    let bounds = scan.range.start.len() + scan.range.end.as_ref().map_or(0, Bytes::len);
    let hint = Target::BYTES_MAX + 32 + bounds + 2 * scan.partitions.len();
    let (fold_flag, now_ms) = match scan.fold {
        Fold::Nothing => (0, None),
        Fold::Tombstones => (flag::FOLD_TOMBSTONES, None),
        Fold::Settled { now_ms } => (flag::FOLD_SETTLED, Some(now_ms)),
    };
    frame::seal(Kind::Scan, hint, |writer| {
        target.write(writer);
        writer.u8(when(scan.reverse, flag::REVERSE)
            | when(scan.want_values, flag::WANT_VALUES)
            | fold_flag
            | when(scan.range.end.is_some(), flag::HAS_END));
        writer.u32(scan.limit);
        writer.u32(scan.bytes_max);
        if let Some(now_ms) = now_ms {
            writer.u64(now_ms);
        }
        writer.bytes16(&scan.range.start);
        if let Some(end) = &scan.range.end {
            writer.bytes16(end);
        }
        writer.count(scan.partitions.len());
        scan.partitions.iter().for_each(|partition| writer.u16(partition.0));
    })
}

/// Reads the body of a scan.
///
/// # Errors
/// When the body is not a whole and undamaged scan of this format version, or its partitions don't ascend.
#[expect(clippy::needless_pass_by_value, reason = "the decoded bounds keep the body alive")]
pub fn decode_scan(body: Bytes) -> Result<(Target, ScanRequest), WireError> {
    let (_, mut reader) = frame::open(&body, &[Kind::Scan], "a scan")?;
    let target = Target::read(&mut reader)?;
    let flags = reader.flags("scan flags", flag::KNOWN)?;
    let limit = reader.u32("scan limit")?;
    let bytes_max = reader.u32("scan bytes limit")?;
    let fold = match flags & (flag::FOLD_TOMBSTONES | flag::FOLD_SETTLED) {
        0 => Fold::Nothing,
        flag::FOLD_TOMBSTONES => Fold::Tombstones,
        flag::FOLD_SETTLED => Fold::Settled { now_ms: reader.u64("time of a count")? },
        both => {
            let accepted = "one way of folding";
            return Err(WireError::Field { field: "scan flags", found: both.into(), accepted });
        }
    };
    let start = read_bound(&mut reader)?;
    let end = if flags & flag::HAS_END != 0 { Some(read_bound(&mut reader)?) } else { None };
    let partitions = read_partitions(&mut reader)?;
    reader.finish()?;
    let (reverse, want_values) = (flags & flag::REVERSE != 0, flags & flag::WANT_VALUES != 0);
    let range = KeyRange { start, end };
    Ok((target, ScanRequest { partitions, range, reverse, want_values, fold, limit, bytes_max }))
}

/// A bound is a key, a prefix of one, or empty; or just above the greatest key, so one byte longer.
fn read_bound(reader: &mut Reader<'_>) -> Result<Bytes, WireError> {
    let bound = reader.bytes16("scan bound")?;
    if bound.len() <= Key::BYTES_MAX + 1 {
        Ok(bound)
    } else {
        let found = bound.len() as u64;
        Err(WireError::Field { field: "scan bound length", found, accepted: "0 to 4097 bytes" })
    }
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<Vec<PartitionId>, WireError> {
    let count = reader.count("scan partitions", PARTITIONS_MAX, 2)?;
    let mut partitions = Vec::with_capacity(count);
    for _ in 0..count {
        let partition = PartitionId(reader.u16("scan partition")?);
        if partitions.last().is_some_and(|last| *last >= partition) {
            let found = partition.0.into();
            return Err(WireError::Field { field: "scan partition", found, accepted: "ascending numbers" });
        }
        partitions.push(partition);
    }
    Ok(partitions)
}

/// Makes the body of a page. The asker's `bytes_max` keeps it within [`super::BODY_BYTES_MAX`].
#[must_use]
pub fn encode_page(sender: &Target, node_ms: u64, page: &ScanPage) -> Bytes {
    let entry_bytes =
        |entry: &ScanEntry| 4 + entry.key.as_bytes().len() + register_size_hint(&entry.register);
    let span_bytes = |span: &Span| SPAN_BYTES_MIN + 2 + span.end.as_ref().map_or(0, Bytes::len);
    let hint = Target::BYTES_MAX
        + 32
        + Key::BYTES_MAX
        + page.entries.iter().map(entry_bytes).sum::<usize>()
        + page.spans.iter().map(span_bytes).sum::<usize>();
    frame::seal(Kind::Page, hint, |writer| {
        sender.write(writer);
        writer.u64(node_ms);
        match &page.end {
            PageEnd::Exhausted => writer.u8(0),
            PageEnd::Through(key) => {
                writer.u8(1);
                writer.bytes16(key.as_bytes());
            }
        }
        writer.count(page.entries.len());
        page.entries.iter().for_each(|entry| write_entry(writer, entry));
        writer.count(page.spans.len());
        page.spans.iter().for_each(|span| write_span(writer, span));
    })
}

/// Reads the answer to a scan. Keys and values share its memory.
///
/// # Errors
/// When the body is not a whole and undamaged answer of this format version.
#[expect(clippy::needless_pass_by_value, reason = "the decoded keys and values keep the body alive")]
pub fn decode_page(body: Bytes) -> Result<PageReply, WireError> {
    let (kind, mut reader) = frame::open(&body, &[Kind::Page, Kind::Refusal], "a page or a refusal")?;
    let sender = Target::read(&mut reader)?;
    let node_ms = reader.u64("node's time")?;
    let outcome =
        if kind == Kind::Refusal { Err(Refused::read(&mut reader)?) } else { Ok(read_page(&mut reader)?) };
    reader.finish()?;
    Ok(PageReply { sender, node_ms, outcome })
}

fn read_page(reader: &mut Reader<'_>) -> Result<ScanPage, WireError> {
    let end = if reader.flag("page end")? { PageEnd::Through(read_key(reader)?) } else { PageEnd::Exhausted };
    let count = reader.count("page entries", ENTRIES_MAX, ENTRY_BYTES_MIN)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(read_entry(reader)?);
    }
    let count = reader.count("page spans", SPANS_MAX, SPAN_BYTES_MIN)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        spans.push(read_span(reader)?);
    }
    Ok(ScanPage { entries, spans, end })
}

fn write_entry(writer: &mut Writer<'_>, entry: &ScanEntry) {
    writer.u16(entry.partition.0);
    writer.bytes16(entry.key.as_bytes());
    register::write(writer, &entry.register);
}

fn read_entry(reader: &mut Reader<'_>) -> Result<ScanEntry, WireError> {
    Ok(ScanEntry {
        partition: PartitionId(reader.u16("entry partition")?),
        key: read_key(reader)?,
        register: register::read(reader)?,
    })
}

fn write_span(writer: &mut Writer<'_>, span: &Span) {
    writer.u16(span.partition.0);
    writer.u32(span.rows);
    writer.u32(span.live);
    writer.u128(span.digest);
    match &span.end {
        None => writer.u8(0),
        Some(end) => {
            writer.u8(1);
            writer.bytes16(end);
        }
    }
}

fn read_span(reader: &mut Reader<'_>) -> Result<Span, WireError> {
    Ok(Span {
        partition: PartitionId(reader.u16("span partition")?),
        rows: reader.u32("span rows")?,
        live: reader.u32("span values")?,
        digest: reader.u128("span digest")?,
        end: if reader.flag("span end")? { Some(read_bound(reader)?) } else { None },
    })
}
