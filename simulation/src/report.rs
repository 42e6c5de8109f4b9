//! What a run was: enough to see that it did something.

use std::collections::BTreeMap;
use std::fmt;

use roundtable_consensus::Failure;

/// How often the routers took their less usual paths: a run that never did has not tested them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paths {
    /// Rounds started.
    pub rounds: u64,
    /// Rounds without a majority.
    pub rounds_failed: u64,
    /// Reads that needed an identity round.
    pub read_fallbacks: u64,
    /// Reads and refusals answered in one trip.
    pub one_trip_answers: u64,
    /// Operations that shared a round.
    pub operations_combined: u64,
    /// Times a further replica was asked.
    pub hedges: u64,
    /// Times a clock was pulled back.
    pub clock_pull_backs: u64,
    /// Batches that carried more than one request.
    pub batches_shared: u64,
    /// Requests that found a link's queue full.
    pub link_overflows: u64,
    /// Listings that were told.
    pub listings: u64,
    /// Keys of listings that needed a read of their own.
    pub listed_by_read: u64,
    /// Operations of which the history no longer told whether they were applied.
    pub forgotten: u64,
}

/// Something that went wrong, or a consequence of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mishap {
    /// A message that never arrived.
    MessageLost,
    /// A message that arrived after its sender had given it up.
    MessageLate,
    /// A message that arrived twice.
    MessageRepeated,
    /// A message that arrived before an earlier one on the same way.
    MessageReordered,
    /// A message whose bytes were changed or cut.
    MessageDamaged,
    /// A message into a cut direction.
    MessageCut,
    /// A body that a node refused as malformed.
    BodyRefused,
    /// A cut toward a node alone.
    CutToNode,
    /// A cut toward the asker alone.
    CutToAsker,
    /// A cut in both directions.
    CutBoth,
    /// A cut between two nodes.
    CutBetweenNodes,
    /// A node's process was killed.
    NodeKilled,
    /// All nodes were killed at once.
    AllNodesKilled,
    /// A node stood still.
    NodeFrozen,
    /// A router's process was killed.
    RouterKilled,
    /// A router stood still.
    RouterFrozen,
    /// A node's clock jumped and drifts.
    NodeClockWrong,
    /// A router's clock jumped and drifts.
    RouterClockWrong,
    /// A request was refused because of its ballot's time.
    RefusedForClock,
    /// A sync failed: the process ended.
    SyncFailed,
    /// A sync took long.
    SyncSlow,
    /// Nothing of a write under way reached the disk when the process died.
    UnsyncedLost,
    /// A part of it did, and was found incomplete.
    WriteTorn,
    /// All of it did, although nobody was told.
    UnsyncedKept,
    /// A disk fell below its reserve.
    DiskLow,
    /// A disk fell below half of its reserve.
    DiskCritical,
    /// A disk that had little room has enough again.
    DiskEnough,
    /// A request was refused because it grows what is on the disk.
    RefusedForSpace,
    /// A directory was lost for good.
    DirectoryLost,
    /// A shard had too many jobs.
    ShardOverloaded,
    /// A fault struck before the first configuration was adopted everywhere.
    FoundingDisturbed,
}

impl Mishap {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::MessageLost,
        Self::MessageLate,
        Self::MessageRepeated,
        Self::MessageReordered,
        Self::MessageDamaged,
        Self::MessageCut,
        Self::BodyRefused,
        Self::CutToNode,
        Self::CutToAsker,
        Self::CutBoth,
        Self::CutBetweenNodes,
        Self::NodeKilled,
        Self::AllNodesKilled,
        Self::NodeFrozen,
        Self::RouterKilled,
        Self::RouterFrozen,
        Self::NodeClockWrong,
        Self::RouterClockWrong,
        Self::RefusedForClock,
        Self::SyncFailed,
        Self::SyncSlow,
        Self::UnsyncedLost,
        Self::WriteTorn,
        Self::UnsyncedKept,
        Self::DiskLow,
        Self::DiskCritical,
        Self::DiskEnough,
        Self::RefusedForSpace,
        Self::DirectoryLost,
        Self::ShardOverloaded,
        Self::FoundingDisturbed,
    ];
}

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls that clients made.
    pub calls: u64,
    /// Of these, calls whose outcome stayed unknown.
    pub in_doubt: u64,
    /// Of these, changes that were refused as never applied.
    pub never_applied: u64,
    /// The routers' paths.
    pub paths: Paths,
    /// Faults that struck.
    pub faults: u64,
    /// Why calls and listings had no answer, how often.
    pub failures: BTreeMap<Failure, u64>,
    /// What went wrong, how often.
    pub mishaps: BTreeMap<Mishap, u64>,
    /// Bodies that were delivered.
    pub messages: u64,
    /// Keys whose history was too tangled to be decided.
    pub undecided: u64,
    /// Simulated time in milliseconds.
    pub simulated_ms: u64,
    /// When the last node had adopted the first configuration, in milliseconds.
    pub founded_ms: u64,
    /// Calls that each router ended with a definite answer.
    pub served: Vec<u64>,
    /// Longest time that any call took, in milliseconds.
    pub slowest_call_ms: u64,
}

impl Report {
    pub(crate) fn note(&mut self, mishap: Mishap) {
        *self.mishaps.entry(mishap).or_default() += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls ({} in doubt, {} never applied), {} listings, {} faults, {} messages, founded after {} ms, {} ms, slowest call {} ms, {} undecided",
            self.calls,
            self.in_doubt,
            self.never_applied,
            self.paths.listings,
            self.faults,
            self.messages,
            self.founded_ms,
            self.simulated_ms,
            self.slowest_call_ms,
            self.undecided,
        )
    }
}
