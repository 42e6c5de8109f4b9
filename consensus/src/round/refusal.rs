//! What stands in a round's way, and when waiting any longer is no use.

use crate::ballot::Ballot;
use crate::ids::NodeIndex;
use crate::message::Rejection;
use crate::quorum::{ReplicaSet, Tally};

/// What a replica said in a phase: yes with something, or no.
pub(super) type Word<T> = Result<T, Refusal>;

/// Why a replica counts against the majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    Rejected(Rejection),
    Lost,
}

/// Everything that kept a majority away; several things may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundFailure {
    /// The highest ballot that a replica holds.
    pub outbid: Option<Ballot>,
    /// The last millisecond that a majority would take; set only when refused clocks made one impossible.
    pub skew_limit_ms: Option<u64>,
    /// The replicas below their disk reserve.
    pub disk_low: Vec<NodeIndex>,
    /// A replica's queue is full.
    pub overloaded: bool,
    /// A replica does not vote.
    pub unready: bool,
    /// A replica could not be asked, or its answer was lost.
    pub lost: bool,
    /// The value's bytes were gone from every replica that reported them: ask for them at once next time.
    pub value_moved: bool,
}

impl RoundFailure {
    /// Why the replicas of a phase did not become a majority.
    pub(super) fn of<T>(
        replicas: &ReplicaSet,
        tally: &Tally<Word<T>>,
        usable: impl Fn(NodeIndex) -> bool,
    ) -> Self {
        let mut failure = Self { skew_limit_ms: skew_limit_ms(replicas, tally, usable), ..Self::default() };
        for (node, word) in tally.iter() {
            match word {
                Ok(_) | Err(Refusal::Rejected(Rejection::ClockSkew { .. })) => {}
                Err(Refusal::Lost) => failure.lost = true,
                Err(Refusal::Rejected(Rejection::Outbid(held))) => {
                    failure.outbid = failure.outbid.max(Some(*held));
                }
                Err(Refusal::Rejected(Rejection::DiskReserve)) => failure.disk_low.push(node),
                Err(Refusal::Rejected(Rejection::Overloaded)) => failure.overloaded = true,
                Err(Refusal::Rejected(Rejection::NotReady | Rejection::NotMine(_))) => failure.unready = true,
            }
        }
        failure
    }
}

/// The time that a majority would take, if it is an earlier one than the round's. A replica that did not say
/// otherwise may take any; one that can't be asked takes none.
fn skew_limit_ms<T>(
    replicas: &ReplicaSet,
    tally: &Tally<Word<T>>,
    usable: impl Fn(NodeIndex) -> bool,
) -> Option<u64> {
    let limit = replicas.quorum_value(|node| match tally.get(node) {
        None => usable(node).then_some(u64::MAX),
        Some(Err(Refusal::Lost)) => None,
        Some(Err(Refusal::Rejected(Rejection::ClockSkew { limit_ms }))) => Some(*limit_ms),
        Some(Ok(_) | Err(Refusal::Rejected(_))) => Some(u64::MAX),
    })?;
    (limit < u64::MAX).then_some(limit)
}

/// Whether a replica has said no.
pub(super) fn refused<T>(tally: &Tally<Word<T>>, node: NodeIndex) -> bool {
    matches!(tally.get(node), Some(Err(_)))
}

/// Whether a majority needs a replica that is silent and not usable, while another round could do without: the
/// replicas that refused this one would be asked again, at a higher ballot or after a pause.
///
/// A full queue is no reason: such a replica may refuse the next round too, and the silent one may merely be slow.
pub(super) fn is_stalled<T>(
    replicas: &ReplicaSet,
    tally: &Tally<Word<T>>,
    usable: impl Fn(NodeIndex) -> bool,
) -> bool {
    let hopeful = |node| match tally.get(node) {
        Some(word) => word.is_ok(),
        None => usable(node),
    };
    let next_time = |node| match tally.get(node) {
        Some(Ok(_)) => true,
        Some(Err(Refusal::Rejected(why))) => match why {
            Rejection::Outbid(_) | Rejection::ClockSkew { .. } | Rejection::DiskReserve => true,
            Rejection::NotReady => usable(node),
            Rejection::Overloaded | Rejection::NotMine(_) => false,
        },
        Some(Err(Refusal::Lost)) | None => usable(node),
    };
    !replicas.is_quorum(hopeful) && replicas.is_quorum(next_time)
}
