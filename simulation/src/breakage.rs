//! How the broken variants break what goes into the code that ships and what comes out of it.

use std::collections::BTreeSet;

use roundtable_consensus::{
    Answer, Condition, Content, History, HistoryLimits, Outcome, Proposal, Register, ReplyBody, Slot, Task,
    Token, Version,
};

use crate::variant::Variant;

impl Variant {
    /// What a router makes of a client's wish.
    pub(crate) fn task(self, task: Task) -> Task {
        match (self, task) {
            (Self::ReadsFromOneReplica, Task::Read) => Task::ReadEventual,
            (Self::KeysIgnored, Task::Change(mut operation)) => {
                operation.client_key = None;
                Task::Change(operation)
            }
            (Self::VersionWithoutIndex, Task::Change(mut operation)) => {
                if let Condition::Matches(versions) = &mut operation.condition {
                    *versions = versions.iter().flat_map(|version| of_the_round(*version)).collect();
                }
                Task::Change(operation)
            }
            (_, task) => task,
        }
    }

    /// What a router hears of a node's answer, by its clock.
    pub(crate) fn heard(self, now_ms: u64, body: &mut ReplyBody) {
        if let (Self::ExpiryToldUnchosen, ReplyBody::State(register)) = (self, body)
            && register.is_expired(now_ms)
        {
            (register.content, register.expires_at) = (Content::Tombstone, None);
        }
    }

    /// Whether its routers forget what they tried.
    pub(crate) fn forgets(self) -> bool {
        matches!(self, Self::AttemptsForgotten | Self::LastAttemptOnly | Self::RefusesInDoubt)
    }

    /// What a router still knows of an operation whose round failed. It goes on to know that the operation is in doubt,
    /// so that nothing but the rule that the variant is about is broken.
    pub(crate) fn remembered(self, slot: &mut Slot, doubted: &mut BTreeSet<Token>) {
        let Proposal { operation, attempts } = &mut slot.proposal;
        if !attempts.is_empty() {
            doubted.insert(slot.token);
        }
        match (self, &operation.condition) {
            (Self::AttemptsForgotten, _) => attempts.clear(),
            (Self::LastAttemptOnly, _) => {
                attempts.drain(..attempts.len().saturating_sub(1));
            }
            // Those that their own success would make fail: nothing else comes of forgetting than a refusal in doubt.
            (Self::RefusesInDoubt, Condition::Absent | Condition::Matches(_)) => attempts.clear(),
            _ => {}
        }
    }

    /// What a client is told.
    pub(crate) fn told(self, answer: &mut Answer) {
        if self != Self::VersionWithoutIndex {
            return;
        }
        match answer {
            Answer::State(register) => register.version.index = 0,
            Answer::Settled(outcome) => match outcome {
                Outcome::Created(version)
                | Outcome::Replaced(version)
                | Outcome::Deleted(version)
                | Outcome::Touched(version)
                | Outcome::Incremented { version, .. }
                | Outcome::PreconditionFailed { current: Some(version) } => version.index = 0,
                Outcome::PreconditionFailed { current: None }
                | Outcome::NotFound
                | Outcome::NotACounter
                | Outcome::CounterOverflow => {}
            },
            Answer::KeyReused | Answer::Forgotten | Answer::NoRoom => {}
        }
    }

    /// What a node tells of a register.
    pub(crate) fn register_told(self, body: &mut ReplyBody) {
        if let (Self::HistoryForgotten, ReplyBody::Promised(register) | ReplyBody::Fetched(Some(register))) =
            (self, body)
        {
            *register = Register { history: History::default(), ..register.clone() };
        }
    }
}

/// Every version that a round can have given.
fn of_the_round(version: Version) -> impl Iterator<Item = Version> {
    let places = u32::try_from(HistoryLimits::KEYED_OPS_PER_ROUND).unwrap_or(u32::MAX);
    (0..places).map(move |index| Version { index, ..version })
}
