//! What must hold in every run, one file each. All of them watch from outside: what nodes accept, what clients saw, what
//! is on disks.

mod agreement;
mod availability;
mod convergence;
mod durability;
mod exactly_once;
mod founding;
mod lineage;
mod linearizability;
mod no_zombies;
mod watch;

use std::fmt;

pub(crate) use availability::ended_in_time;
pub(crate) use convergence::{judge_leftovers, judge_replicas};
pub(crate) use durability::Copies;
pub(crate) use founding::judge_founding;
pub(crate) use linearizability::judge_histories;
pub(crate) use no_zombies::Span;
pub(crate) use watch::{Watch, judge_last, number};

/// A property that did not hold, with what is needed to understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two registers at one ballot.
    Agreement(String),
    /// A chosen register that forgot another.
    Lineage(String),
    /// Answers that no order of the calls explains.
    Linearizability(String),
    /// An operation that took effect twice.
    ExactlyOnce(String),
    /// Nodes of one file in different clusters.
    Founding(String),
    /// Something told that is not on enough disks.
    Durability(String),
    /// Something that was gone and returned.
    Zombie(String),
    /// Replicas that differ when everything is over, or something left in a table or queue.
    Diverged(String),
    /// The cluster does not serve although nothing is wrong any more, or not in time.
    Unserved(String),
}

impl Violation {
    /// Whether data was harmed, not just service.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        !matches!(self, Self::Unserved(_) | Self::Diverged(_))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement(what) => write!(f, "agreement: {what}"),
            Self::Lineage(what) => write!(f, "lineage: {what}"),
            Self::Linearizability(what) => write!(f, "linearizability: {what}"),
            Self::ExactlyOnce(what) => write!(f, "exactly once: {what}"),
            Self::Founding(what) => write!(f, "founding: {what}"),
            Self::Durability(what) => write!(f, "durability: {what}"),
            Self::Zombie(what) => write!(f, "no zombies: {what}"),
            Self::Diverged(what) => write!(f, "convergence: {what}"),
            Self::Unserved(what) => write!(f, "availability: {what}"),
        }
    }
}
