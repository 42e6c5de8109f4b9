//! Hands what happens in a run to the properties that watch it.

use roundtable_consensus::{Answer, Content, Key, NodeIndex, Outcome, Register, Value, Version};

use super::Violation;
use super::agreement::Agreement;
use super::durability::Durability;
use super::exactly_once::{ExactlyOnce, judge_counter};
use super::lineage::Lineage;
use super::no_zombies::{NoZombies, Span};
use crate::checker::{Call, Operation};

/// The properties that are judged while a run goes on.
#[derive(Debug)]
pub(crate) struct Watch {
    agreement: Agreement,
    lineage: Lineage,
    exactly_once: ExactlyOnce,
    no_zombies: NoZombies,
    pub(crate) durability: Durability,
}

impl Watch {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            agreement: Agreement::default(),
            lineage: Lineage::new(nodes),
            exactly_once: ExactlyOnce::default(),
            no_zombies: NoZombies::default(),
            durability: Durability::default(),
        }
    }

    /// A register in an Accept is on its way to a node.
    pub(crate) fn on_proposed(&mut self, key: &Key, register: &Register) -> Result<(), Violation> {
        self.agreement.on_accept(key, register)
    }

    /// A node tells a router that it accepted `register`.
    pub(crate) fn on_accepted(
        &mut self,
        node: NodeIndex,
        key: &Key,
        register: &Register,
    ) -> Result<(), Violation> {
        if self.lineage.on_accepted(node, key, register)? {
            self.exactly_once.on_chosen(key, register)?;
        }
        Ok(())
    }

    /// A client makes a call.
    pub(crate) fn on_begun(&mut self, key: &Key, call: Call) {
        if let Call::Put(value, _) = call {
            self.no_zombies.on_begun(key, value);
        }
    }

    /// A call is never applied.
    pub(crate) fn on_never_applied(&mut self, key: &Key, call: Call) {
        if let Call::Put(value, _) = call {
            self.no_zombies.on_never_applied(key, value);
        }
    }

    /// A call has its answer.
    pub(crate) fn on_answer(
        &mut self,
        key: &Key,
        call: Call,
        span: Span,
        answer: &Answer,
    ) -> Result<(), Violation> {
        match answer {
            Answer::State(register) => self.on_state(key, register, span),
            Answer::Settled(outcome) => self.on_outcome(key, call, outcome, span),
            Answer::KeyReused | Answer::Forgotten | Answer::NoRoom => Ok(()),
        }
    }

    /// A listing told a key, or did not: each counts as a read for as long as the listing took.
    pub(crate) fn on_listed(
        &mut self,
        key: &Key,
        listed: Option<&Register>,
        span: Span,
    ) -> Result<(), Violation> {
        match listed {
            Some(register) => self.on_state(key, register, span),
            None => {
                self.no_zombies.on_nothing(key, None, span);
                Ok(())
            }
        }
    }

    fn on_state(&mut self, key: &Key, register: &Register, span: Span) -> Result<(), Violation> {
        self.durability.on_told(key, register.version);
        match &register.content {
            Content::Live(value) => self.on_shown(key, unique(key, value), register.version, span),
            Content::Withheld { .. } => self.on_shown(key, None, register.version, span),
            Content::Tombstone => {
                self.no_zombies.on_nothing(key, Some(register.version), span);
                Ok(())
            }
        }
    }

    fn on_outcome(&mut self, key: &Key, call: Call, outcome: &Outcome, span: Span) -> Result<(), Violation> {
        match outcome {
            Outcome::Created(version) | Outcome::Replaced(version) => {
                self.durability.on_told(key, *version);
                let Call::Put(value, _) = call else { return Ok(()) };
                self.no_zombies.on_stored(key, value, span);
                self.on_shown(key, None, *version, span)
            }
            Outcome::Touched(version) | Outcome::Incremented { version, .. } => {
                self.durability.on_told(key, *version);
                self.on_shown(key, None, *version, span)
            }
            Outcome::PreconditionFailed { current: Some(version) } => {
                self.on_shown(key, None, *version, span)
            }
            Outcome::Deleted(version) => {
                self.durability.on_told(key, *version);
                self.no_zombies.on_nothing(key, Some(*version), span);
                Ok(())
            }
            Outcome::PreconditionFailed { current: None } | Outcome::NotFound => {
                self.no_zombies.on_nothing(key, None, span);
                Ok(())
            }
            Outcome::NotACounter | Outcome::CounterOverflow => Ok(()),
        }
    }

    fn on_shown(
        &mut self,
        key: &Key,
        value: Option<i64>,
        version: Version,
        span: Span,
    ) -> Result<(), Violation> {
        self.durability.on_told(key, version);
        self.no_zombies.on_shown(key, value, version, span)
    }
}

/// The value as a number that one call alone stores; a counter's may come about in several ways.
fn unique(key: &Key, value: &Value) -> Option<i64> {
    let counter = key.as_bytes().starts_with(b"counter");
    if counter { None } else { number(value) }
}

/// A value as the number that clients store.
pub(crate) fn number(value: &Value) -> Option<i64> {
    std::str::from_utf8(&value.bytes).ok()?.parse().ok()
}

/// Judges a counter's last register against its history.
pub(crate) fn judge_last(key: &Key, history: &[Operation], last: Option<&Register>) -> Result<(), Violation> {
    if !key.as_bytes().starts_with(b"counter") {
        return Ok(());
    }
    let value = last.and_then(|register| register.content.value()).and_then(number).unwrap_or(0);
    judge_counter(key, history, value)
}
