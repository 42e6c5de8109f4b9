//! A batch of requests from a router to a node.

use std::sync::Arc;

use bytes::Bytes;
use roundtable_consensus::{Content, Hlc, Key, PartitionId, Request, RequestBody};

use super::error::WireError;
use super::frame::{self, Kind};
use super::reader::Reader;
use super::register::{self, read_ballot, register_size_hint, write_ballot};
use super::target::Target;
use super::writer::{Writer, when};

/// Requests in one batch at most.
pub const REQUESTS_MAX: usize = 16_384;

/// Id, partition, flags, kind, key.
const HEAD_BYTES: usize = 8 + 2 + 1 + 1 + 2;
/// The shortest request: a read of a key of one byte.
const REQUEST_BYTES_MIN: usize = HEAD_BYTES + 1;

mod tag {
    pub(super) const PREPARE: u8 = 1;
    pub(super) const ACCEPT: u8 = 2;
    pub(super) const READ: u8 = 3;
    pub(super) const FETCH: u8 = 4;
}

mod flag {
    pub(super) const DONE: u8 = 1;
    pub(super) const WANT_VALUE: u8 = 2;
    pub(super) const GROWS: u8 = 4;
    /// The reading of the next ballot follows the register. (8 asked for the ballot right above, without naming it.)
    pub(super) const NEXT: u8 = 16;
}

/// Bytes that a request takes in a batch, about: what a sender bounds its batches by.
#[must_use]
pub fn request_size_hint(request: &Request) -> usize {
    let body = match &request.body {
        RequestBody::Prepare { .. } | RequestBody::Fetch { .. } => 16,
        RequestBody::Accept { register, .. } => register_size_hint(register) + 8,
        RequestBody::Read { .. } => 0,
    };
    HEAD_BYTES + request.key.as_bytes().len() + body
}

/// Makes the body of a batch.
///
/// The receiver refuses more than [`REQUESTS_MAX`] requests or [`super::BODY_BYTES_MAX`] bytes; a sender stays
/// below both by the sum of [`request_size_hint`].
#[must_use]
pub fn encode_requests(target: &Target, requests: &[Request]) -> Bytes {
    let hint = Target::BYTES_MAX + 4 + requests.iter().map(request_size_hint).sum::<usize>();
    frame::seal(Kind::Requests, hint, |writer| {
        target.write(writer);
        writer.count(requests.len());
        requests.iter().for_each(|request| write(writer, request));
    })
}

/// Reads the body of a batch. Keys and values share its memory.
///
/// # Errors
/// When the body is not a whole and undamaged batch of this format version.
#[expect(clippy::needless_pass_by_value, reason = "the decoded keys and values keep the body alive")]
pub fn decode_requests(body: Bytes) -> Result<(Target, Vec<Request>), WireError> {
    let (_, mut reader) = frame::open(&body, &[Kind::Requests], "requests")?;
    let target = Target::read(&mut reader)?;
    let count = reader.count("requests", REQUESTS_MAX, REQUEST_BYTES_MIN)?;
    let mut requests = Vec::with_capacity(count);
    for _ in 0..count {
        requests.push(read(&mut reader)?);
    }
    reader.finish()?;
    Ok((target, requests))
}

fn write(writer: &mut Writer<'_>, request: &Request) {
    let (tag, body_flags) = match request.body {
        RequestBody::Prepare { want_value, grows, .. } => {
            (tag::PREPARE, when(want_value, flag::WANT_VALUE) | when(grows, flag::GROWS))
        }
        RequestBody::Accept { next, .. } => (tag::ACCEPT, when(next.is_some(), flag::NEXT)),
        RequestBody::Read { want_value } => (tag::READ, when(want_value, flag::WANT_VALUE)),
        RequestBody::Fetch { .. } => (tag::FETCH, 0),
    };
    writer.u64(request.id);
    writer.u16(request.partition.0);
    writer.u8(tag);
    writer.u8(body_flags | when(request.done, flag::DONE));
    writer.bytes16(request.key.as_bytes());
    match &request.body {
        RequestBody::Prepare { ballot, .. } => write_ballot(writer, *ballot),
        RequestBody::Accept { register, next } => {
            register::write(writer, register);
            if let Some(next) = next {
                writer.u64(next.0);
            }
        }
        RequestBody::Read { .. } => {}
        RequestBody::Fetch { accepted } => write_ballot(writer, *accepted),
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Request, WireError> {
    let id = reader.u64("request id")?;
    let partition = PartitionId(reader.u16("partition")?);
    let tag = reader.u8("request kind")?;
    let allowed = match tag {
        tag::PREPARE => flag::WANT_VALUE | flag::GROWS,
        tag::ACCEPT => flag::NEXT,
        tag::READ => flag::WANT_VALUE,
        tag::FETCH => 0,
        found => {
            return Err(WireError::Field { field: "request kind", found: found.into(), accepted: "1 to 4" });
        }
    };
    let flags = reader.flags("request flags", allowed | flag::DONE)?;
    let key = read_key(reader)?;
    let has = |flag: u8| flags & flag != 0;
    let body = match tag {
        tag::PREPARE => RequestBody::Prepare {
            ballot: read_ballot(reader, "ballot")?,
            want_value: has(flag::WANT_VALUE),
            grows: has(flag::GROWS),
        },
        tag::ACCEPT => RequestBody::Accept {
            register: Arc::new(read_whole_register(reader)?),
            next: if has(flag::NEXT) { Some(Hlc(reader.u64("next ballot's reading")?)) } else { None },
        },
        tag::READ => RequestBody::Read { want_value: has(flag::WANT_VALUE) },
        _ => RequestBody::Fetch { accepted: read_ballot(reader, "accepted ballot")? },
    };
    Ok(Request { id, partition, done: has(flag::DONE), key, body })
}

/// A register to be stored: one with a withheld value would lose it.
fn read_whole_register(reader: &mut Reader<'_>) -> Result<roundtable_consensus::Register, WireError> {
    let register = register::read(reader)?;
    match register.content {
        Content::Withheld { value_bytes } => Err(WireError::Field {
            field: "register to accept",
            found: value_bytes.into(),
            accepted: "one whose value is not withheld",
        }),
        Content::Tombstone | Content::Live(_) => Ok(register),
    }
}

/// Reads a key after its length in two bytes.
pub(super) fn read_key(reader: &mut Reader<'_>) -> Result<Key, WireError> {
    let bytes = reader.bytes16("key")?;
    let found = bytes.len() as u64;
    Key::new(bytes).map_err(|_| WireError::Field { field: "key length", found, accepted: "1 to 4096 bytes" })
}
