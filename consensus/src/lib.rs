//! The protocol of Roundtable: pure state machines without I/O, clock or randomness.

mod acceptor;
mod apply;
mod ballot;
mod bootstrap;
mod clock;
mod configuration;
mod coordinator;
mod health;
mod history;
mod ids;
mod key;
mod key_map;
mod message;
mod number_map;
mod operation;
mod outbox;
mod promise;
mod quorum;
mod read;
mod register;
mod replica;
mod rng;
mod round;

pub use acceptor::{Acceptance, Acceptor};
pub use apply::{Applied, Attempt, NeedsValue, Proposal, RoundContext, apply, refusal};
pub use ballot::{Ballot, Hlc, ProposerId, Version};
pub use bootstrap::{Bootstrap, BootstrapEffect, DiskShortage, Hello, Membership, Obstacle, Refusal, Status};
pub use clock::HybridClock;
pub use configuration::{Adopted, Configuration, ConfigurationDigest, FileStanding, Member};
pub use coordinator::{
    Coordinator, CoordinatorConfig, CoordinatorStats, Effects, Failure, Now, Submit, Task,
};
pub use health::{Health, HealthConfig, Lane, Reach, Standing};
pub use history::{History, HistoryLimits, OpRecord, Settled};
pub use ids::{ClusterId, Epoch, NodeId, NodeIndex, OpId, ParseIdError, PartitionId, StorageId};
pub use key::{Key, KeyError};
pub use message::{
    Fold, KeyRange, PageEnd, Rejection, Reply, ReplyBody, Request, RequestBody, ScanEntry, ScanPage,
    ScanRequest, Span,
};
pub use operation::{Answer, Change, ClientKey, Condition, Expiry, Operation, Outcome};
pub use outbox::{Outbox, OutboxLimits};
pub use promise::{Head, Promise, PromiseLimits, PromiseTable, StripedPromises};
pub use quorum::{ReplicaSet, Tally, majority_of};
pub use read::{QuorumRead, ReadProgress};
pub use register::{Content, ContentType, Register, Value};
pub use replica::{
    Conditions, DiskSpace, Handled, Lookup, ReadNeed, Readiness, Replica, ReplicaConfig, Stored, Ticket,
    Write,
};
pub use rng::Rng;
pub use round::{HeadStart, Progress, Round, RoundFailure, RoundOutput, RoundPlan, Slot, Step, Token};
