//! What must hold in every run, one file each. All of them watch from outside: what nodes accept, what clients saw.

mod agreement;
mod availability;
mod lineage;
mod linearizability;

use std::fmt;

pub(crate) use agreement::Agreement;
pub(crate) use availability::ended_in_time;
pub(crate) use lineage::Lineage;
pub(crate) use linearizability::judge_histories;

/// A property that did not hold, with what is needed to understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two registers at one ballot.
    Agreement(String),
    /// A chosen register that forgot another.
    Lineage(String),
    /// Answers that no order of the calls explains.
    Linearizability(String),
    /// The cluster does not serve although nothing is wrong any more, or keeps what nobody waits for.
    Unserved(String),
}

impl Violation {
    /// Whether data was harmed, not just service.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        !matches!(self, Self::Unserved(_))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement(what) => write!(f, "agreement: {what}"),
            Self::Lineage(what) => write!(f, "lineage: {what}"),
            Self::Linearizability(what) => write!(f, "linearizability: {what}"),
            Self::Unserved(what) => write!(f, "service: {what}"),
        }
    }
}
