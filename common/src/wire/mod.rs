//! The bodies that routers and nodes exchange, byte by byte; `docs/wire-format.md` describes them for people.
//!
//! Every body is one *frame*: magic, format version, kind, length, payload, and a checksum over all of it. A
//! frame that is damaged, cut, too long, or of an unknown version is refused as a whole with a [`WireError`];
//! no input makes a decoder panic, and no count or length in the input is believed before it is compared with
//! what is really there. Decoded keys and values are slices of the received body: nothing is copied.
//!
//! A register's own encoding ([`encode_register`]) is also what nodes keep on disk.

mod adopted;
mod ballots;
mod error;
mod frame;
mod hello;
mod history;
mod reader;
mod register;
mod replies;
mod requests;
mod scan;
mod target;
mod writer;

pub use adopted::{decode_adopted, encode_adopted};
pub use error::WireError;
pub use frame::{BODY_BYTES_MAX, CONTENT_TYPE, FORMAT_VERSION};
pub use hello::{decode_hello, encode_hello};
pub use register::{
    RegisterHead, VALUE_BYTES_MAX, decode_register, encode_register, peek_register, register_size_hint,
};
pub use replies::{ReplyBatch, decode_replies, encode_refusal, encode_replies, reply_size_hint};
pub use requests::{REQUESTS_MAX, decode_requests, encode_requests, request_size_hint};
pub use scan::{PageReply, decode_page, decode_scan, encode_page, encode_scan};
pub use target::{Refused, Target};

/// Path of the request batches on a node.
pub const BATCH_PATH: &str = "/replica/v1/batch";
/// The same, on a connection that brings nothing but Accepts: the node serves it where it commits.
pub const DURABLE_BATCH_PATH: &str = "/replica/v1/batch?lane=durable";
/// Path of the scans on a node.
pub const SCAN_PATH: &str = "/replica/v1/scan";
/// Path where a node says who it is; the query `node` names whom the asker expects.
pub const HELLO_PATH: &str = "/replica/v1/hello";
