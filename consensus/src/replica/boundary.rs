//! What passes between a replica and the shell around it: readings of the disk in, replies and writes out.

use std::sync::Arc;

use crate::ballot::Ballot;
use crate::ids::PartitionId;
use crate::key::Key;
use crate::message::Reply;
use crate::register::Register;

/// The numbers that a replica decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplicaConfig {
    /// How far ahead of this node's clock a ballot may be, in milliseconds.
    pub clock_skew_ms_max: u64,
    /// How far ahead of the ballots the horizon is written, in milliseconds; at least 1.
    pub horizon_lead_ms: u64,
    /// Values above this many bytes are stored apart from their registers.
    pub inline_bytes_max: u32,
    /// Bytes of registers kept in memory beyond those on their way to the disk; 0 for none.
    pub recent_bytes_max: usize,
}

impl ReplicaConfig {
    /// The numbers of the product.
    pub const STANDARD: Self = Self {
        clock_skew_ms_max: 5_000,
        horizon_lead_ms: 1_000,
        inline_bytes_max: 4_096,
        recent_bytes_max: 64 << 20,
    };
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// A place in a shard's order of writes; [`Ticket::NONE`] comes before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

impl Ticket {
    /// Nothing to wait for.
    pub const NONE: Self = Self(0);
}

/// What holds while a batch of requests is handled. The same for [`crate::Replica::read_needed`] and [`crate::Replica::handle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// This node's clock in unix milliseconds.
    pub now_ms: u64,
    /// How much room the disk has.
    pub disk: DiskSpace,
    /// The purge floor of the request's partition.
    pub purge_floor: Ballot,
    /// This node knows that the request's partition has no move under way.
    pub done: bool,
}

/// How much room the disk has, measured against the reserve that the operator set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskSpace {
    /// Above the reserve.
    Enough,
    /// Below the reserve: rounds that make the data larger are refused at their first phase, so that no write is
    /// left in doubt.
    Low,
    /// Below half of the reserve: registers with larger values than before are refused at the second phase too.
    Critical,
}

/// A register as the disk has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The register; its value may be withheld when only the head was asked for.
    pub register: Register,
    /// Whether the value's bytes are stored apart from it.
    pub spilled: bool,
}

/// What a look at the disk found for one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// [`crate::Replica::durable`] when the look was taken.
    pub as_of: Ticket,
    /// The register, with its value if [`ReadNeed::Value`] was asked for; `None` for an absent key.
    pub stored: Option<Stored>,
}

/// What the shell must read from disk before it hands a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadNeed {
    /// Nothing.
    None,
    /// The register; the bytes of a value that is stored apart may be withheld.
    Head,
    /// The register with its value, both of one moment.
    Value,
}

/// Something to make durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Write {
    /// The shard's horizon.
    Horizon(Ballot),
    /// A register, with its entry in the replication log.
    Accept {
        /// The key's partition.
        partition: PartitionId,
        /// The key.
        key: Key,
        /// The register, never with a withheld value.
        register: Arc<Register>,
        /// The value's bytes are to be stored apart from the register.
        spills: bool,
        /// Those of the register that it replaces are: to be overwritten or deleted.
        was_spilled: bool,
        /// Bytes of the value that it replaces; zero for a tombstone or an absent key.
        replaced_bytes: u32,
    },
}

/// What came of handling requests; drained by the shell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Handled {
    /// Replies, each with the ticket up to which everything must be durable before it leaves.
    pub replies: Vec<(Reply, Ticket)>,
    /// Writes in their order; the tickets ascend without gaps.
    pub writes: Vec<(Ticket, Write)>,
}
