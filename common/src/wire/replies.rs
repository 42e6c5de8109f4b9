//! A node's answer to a batch: one reply for each request, or a refusal of the whole.

use bytes::Bytes;
use roundtable_consensus::{Epoch, Rejection, Reply, ReplyBody};

use super::error::WireError;
use super::frame::{self, Kind, PAYLOAD_BYTES_MAX};
use super::reader::Reader;
use super::register::{self, read_ballot, register_size_hint, write_ballot};
use super::requests::REQUESTS_MAX;
use super::target::{Refused, Target};
use super::writer::{Writer, when};

/// Id, flags, kind.
const HEAD_BYTES: usize = 8 + 1 + 1;
/// A reply without a register takes at most this: a rejection that names a ballot.
const SMALL_REPLY_BYTES: usize = HEAD_BYTES + 1 + 16;
/// The shortest reply.
const REPLY_BYTES_MIN: usize = HEAD_BYTES;

mod tag {
    pub(super) const PROMISED: u8 = 1;
    pub(super) const ACCEPTED: u8 = 2;
    pub(super) const STATE: u8 = 3;
    pub(super) const FETCHED: u8 = 4;
    pub(super) const NOT_FETCHED: u8 = 5;
    pub(super) const REJECTED: u8 = 6;
}

mod flag {
    pub(super) const DONE: u8 = 1;
    pub(super) const NEXT_PROMISED: u8 = 2;
}

/// What came back for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyBatch {
    /// Who answers; see [`Target::unbound`] for a node that has adopted no configuration.
    pub sender: Target,
    /// The node's unix milliseconds when it answered.
    pub node_ms: u64,
    /// The replies in the order of the requests, or why the node did nothing.
    pub outcome: Result<Vec<Reply>, Refused>,
}

impl ReplyBatch {
    /// The node's time and its replies, if who answers is who was meant.
    ///
    /// # Errors
    /// Why the node did nothing, or in what it is another one than was meant.
    pub fn from_target(self, target: &Target) -> Result<(u64, Vec<Reply>), Refused> {
        let replies = self.outcome?;
        target.check(&self.sender)?;
        Ok((self.node_ms, replies))
    }
}

/// Bytes that a reply takes in a batch, about.
#[must_use]
pub fn reply_size_hint(reply: &Reply) -> usize {
    match &reply.body {
        ReplyBody::Promised(register) | ReplyBody::State(register) | ReplyBody::Fetched(Some(register)) => {
            HEAD_BYTES + register_size_hint(register)
        }
        ReplyBody::Accepted { .. } | ReplyBody::Fetched(None) | ReplyBody::Rejected(_) => SMALL_REPLY_BYTES,
    }
}

/// Makes the body of a batch of replies.
///
/// The body always stays within [`super::BODY_BYTES_MAX`]: where registers would not fit any more, the reply
/// says [`Rejection::Overloaded`] instead. That is safe for every request that is answered with a register (a
/// promise that the proposer doesn't learn of binds nobody but the acceptor), and the asker asks again.
#[must_use]
pub fn encode_replies(sender: &Target, node_ms: u64, replies: &[Reply]) -> Bytes {
    let wanted = Target::BYTES_MAX + 12 + replies.iter().map(reply_size_hint).sum::<usize>();
    frame::seal(Kind::Replies, wanted.min(PAYLOAD_BYTES_MAX), |writer| {
        sender.write(writer);
        writer.u64(node_ms);
        writer.count(replies.len());
        for (place, reply) in replies.iter().enumerate() {
            let start = writer.len();
            write(writer, reply);
            let reserved = (replies.len() - place - 1) * SMALL_REPLY_BYTES;
            if writer.len() + reserved > PAYLOAD_BYTES_MAX {
                writer.truncate(start);
                let body = ReplyBody::Rejected(Rejection::Overloaded);
                write(writer, &Reply { id: reply.id, done: reply.done, body });
            }
        }
    })
}

/// Makes the body that refuses a batch or a scan.
#[must_use]
pub fn encode_refusal(sender: &Target, node_ms: u64, refused: &Refused) -> Bytes {
    frame::seal(Kind::Refusal, Target::BYTES_MAX + 128, |writer| {
        sender.write(writer);
        writer.u64(node_ms);
        refused.write(writer);
    })
}

/// Reads the answer to a batch. Values share its memory.
///
/// # Errors
/// When the body is not a whole and undamaged answer of this format version.
#[expect(clippy::needless_pass_by_value, reason = "the decoded values keep the body alive")]
pub fn decode_replies(body: Bytes) -> Result<ReplyBatch, WireError> {
    let (kind, mut reader) = frame::open(&body, &[Kind::Replies, Kind::Refusal], "replies or a refusal")?;
    let sender = Target::read(&mut reader)?;
    let node_ms = reader.u64("node's time")?;
    let outcome = if kind == Kind::Refusal {
        Err(Refused::read(&mut reader)?)
    } else {
        let count = reader.count("replies", REQUESTS_MAX, REPLY_BYTES_MIN)?;
        let mut replies = Vec::with_capacity(count);
        for _ in 0..count {
            replies.push(read(&mut reader)?);
        }
        Ok(replies)
    };
    reader.finish()?;
    Ok(ReplyBatch { sender, node_ms, outcome })
}

fn write(writer: &mut Writer<'_>, reply: &Reply) {
    let (tag, body_flags) = match &reply.body {
        ReplyBody::Promised(_) => (tag::PROMISED, 0),
        ReplyBody::Accepted { next_promised } => (tag::ACCEPTED, when(*next_promised, flag::NEXT_PROMISED)),
        ReplyBody::State(_) => (tag::STATE, 0),
        ReplyBody::Fetched(Some(_)) => (tag::FETCHED, 0),
        ReplyBody::Fetched(None) => (tag::NOT_FETCHED, 0),
        ReplyBody::Rejected(_) => (tag::REJECTED, 0),
    };
    writer.u64(reply.id);
    writer.u8(tag);
    writer.u8(body_flags | when(reply.done, flag::DONE));
    match &reply.body {
        ReplyBody::Promised(register) | ReplyBody::State(register) | ReplyBody::Fetched(Some(register)) => {
            register::write(writer, register);
        }
        ReplyBody::Accepted { .. } | ReplyBody::Fetched(None) => {}
        ReplyBody::Rejected(rejection) => write_rejection(writer, *rejection),
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Reply, WireError> {
    let id = reader.u64("request id")?;
    let tag = reader.u8("reply kind")?;
    let allowed = if tag == tag::ACCEPTED { flag::DONE | flag::NEXT_PROMISED } else { flag::DONE };
    let flags = reader.flags("reply flags", allowed)?;
    let body = match tag {
        tag::PROMISED => ReplyBody::Promised(register::read(reader)?),
        tag::ACCEPTED => ReplyBody::Accepted { next_promised: flags & flag::NEXT_PROMISED != 0 },
        tag::STATE => ReplyBody::State(register::read(reader)?),
        tag::FETCHED => ReplyBody::Fetched(Some(register::read(reader)?)),
        tag::NOT_FETCHED => ReplyBody::Fetched(None),
        tag::REJECTED => ReplyBody::Rejected(read_rejection(reader)?),
        found => {
            return Err(WireError::Field { field: "reply kind", found: found.into(), accepted: "1 to 6" });
        }
    };
    Ok(Reply { id, done: flags & flag::DONE != 0, body })
}

fn write_rejection(writer: &mut Writer<'_>, rejection: Rejection) {
    match rejection {
        Rejection::Outbid(ballot) => {
            writer.u8(1);
            write_ballot(writer, ballot);
        }
        Rejection::ClockSkew { limit_ms } => {
            writer.u8(2);
            writer.u64(limit_ms);
        }
        Rejection::DiskReserve => writer.u8(3),
        Rejection::Overloaded => writer.u8(4),
        Rejection::NotReady => writer.u8(5),
        Rejection::NotMine(epoch) => {
            writer.u8(6);
            writer.u64(epoch.0);
        }
    }
}

fn read_rejection(reader: &mut Reader<'_>) -> Result<Rejection, WireError> {
    match reader.u8("rejection")? {
        1 => Ok(Rejection::Outbid(read_ballot(reader, "outbidding ballot")?)),
        2 => Ok(Rejection::ClockSkew { limit_ms: reader.u64("clock limit")? }),
        3 => Ok(Rejection::DiskReserve),
        4 => Ok(Rejection::Overloaded),
        5 => Ok(Rejection::NotReady),
        6 => Ok(Rejection::NotMine(Epoch(reader.u64("epoch")?))),
        found => Err(WireError::Field { field: "rejection", found: found.into(), accepted: "1 to 6" }),
    }
}
