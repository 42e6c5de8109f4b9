//! A node's acceptor: the replica that ships, over one register that is synced at once.

use roundtable_consensus::{
    Ballot, Conditions, DiskSpace, Handled, History, Key, Lookup, PartitionId, PromiseLimits, ReadNeed,
    Register, Rejection, Replica, ReplicaConfig, ReplyBody, Request, RequestBody, Stored, StripedPromises,
    Write,
};

use crate::Variant;

/// One acceptor of the model's one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Acceptor {
    replica: Replica<StripedPromises>,
    pub(crate) disk: Option<Register>,
    /// What the disk had before the last write: a restart returns to it where answers do not wait for the sync.
    unsynced: Option<Option<Register>>,
    horizon: Ballot,
    /// It has lost its disk, and with that its right to vote: it says so and does nothing else.
    pub(crate) lost: bool,
}

impl Acceptor {
    pub(crate) fn new(disk: Option<Register>) -> Self {
        Self { replica: replica(Ballot::ZERO), disk, unsynced: None, horizon: Ballot::ZERO, lost: false }
    }

    /// Handles one request as a node's shell does.
    pub(crate) fn handle(&mut self, body: RequestBody, variant: Variant) -> ReplyBody {
        if self.lost && variant != Variant::AmnesiacVotes {
            return ReplyBody::Rejected(Rejection::NotReady);
        }
        let mut reply = self.decide(body, variant);
        match variant {
            Variant::PromisesForgotten => self.replica = replica(Ballot::ZERO),
            Variant::HistoryForgotten => forget_history(&mut reply),
            _ => {}
        }
        reply
    }

    fn decide(&mut self, body: RequestBody, variant: Variant) -> ReplyBody {
        let request = Request { id: 0, partition: PartitionId(0), done: true, key: key(), body };
        let conditions =
            Conditions { now_ms: 0, disk: DiskSpace::Enough, purge_floor: Ballot::ZERO, done: true };
        let as_of = self.replica.durable();
        let stored = self.disk.as_ref();
        let lookup = match self.replica.read_needed(&conditions, &request, 0) {
            ReadNeed::None => None,
            ReadNeed::Head => Some(stored.map(Register::without_value)),
            ReadNeed::Value => Some(stored.cloned()),
        };
        let lookup = lookup.map(|register| Lookup {
            as_of,
            stored: register.map(|register| Stored { register, spilled: false }),
        });
        let mut handled = Handled::default();
        self.replica.handle(&conditions, request, 0, lookup, &mut handled);
        for (ticket, write) in handled.writes {
            match write {
                Write::Horizon(horizon) => self.horizon = horizon,
                Write::Accept { register, .. } => {
                    let before = self.disk.replace(Register::clone(&register));
                    self.unsynced = (variant == Variant::AnswersBeforeSync).then_some(before);
                }
            }
            self.replica.committed(ticket);
        }
        let Some((reply, _)) = handled.replies.pop() else { panic!("every request is answered") };
        reply.body
    }

    /// Stops and starts again: the promises are gone.
    pub(crate) fn restart(&mut self, variant: Variant) {
        if variant == Variant::NoHorizon {
            self.horizon = Ballot::ZERO;
        }
        if let Some(before) = self.unsynced.take() {
            self.disk = before;
        }
        self.replica = replica(self.horizon);
    }

    /// Starts again with an empty disk.
    pub(crate) fn lose_disk(&mut self) {
        *self = Self { lost: true, ..Self::new(None) };
    }
}

fn forget_history(reply: &mut ReplyBody) {
    if let ReplyBody::Promised(register) | ReplyBody::Fetched(Some(register)) = reply {
        register.history = History::default();
    }
}

/// A horizon close above the ballots: a node's clock does not run, and a restart must not end the scope. For the same
/// reason it refuses no ballot for its time.
fn replica(horizon: Ballot) -> Replica<StripedPromises> {
    let config = ReplicaConfig {
        horizon_lead_ms: 1,
        clock_skew_ms_max: u64::MAX,
        // What is kept tells what the disk tells; states would differ in what was asked lately.
        recent_bytes_max: 0,
        ..ReplicaConfig::STANDARD
    };
    let limits = PromiseLimits { stripes: 1, ..PromiseLimits::STANDARD };
    Replica::new(config, StripedPromises::new(limits), horizon)
}

fn key() -> Key {
    let Ok(key) = Key::new("k") else { panic!("one byte is a key") };
    key
}
