//! The protocol of Roundtable: pure state machines without I/O, clock or randomness.

mod ballot;
mod history;
mod ids;
mod key;
mod message;
mod operation;
mod register;

pub use ballot::{Ballot, Hlc, ProposerId, Version};
pub use history::{History, HistoryLimits, OpRecord, Settled};
pub use ids::{ClusterId, Epoch, NodeId, NodeIndex, OpId, ParseIdError, PartitionId, StorageId};
pub use key::{Key, KeyError};
pub use message::{
    KeyRange, PageEnd, Rejection, Reply, ReplyBody, Request, RequestBody, ScanEntry, ScanPage, ScanRequest,
};
pub use operation::{Answer, Change, ClientKey, Condition, Expiry, Operation, Outcome};
pub use register::{Content, ContentType, Register, Value};
