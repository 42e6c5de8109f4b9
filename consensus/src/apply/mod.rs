//! What a round makes of the register that it found.
//!
//! This is the whole meaning of the store in one pure function: the register that phase one found goes in with
//! the operations that wait, the register that phase two proposes comes out with each operation's answer. Before
//! any precondition is judged, the history is asked whether the operation has taken effect already; a create
//! whose first attempt succeeded would otherwise be refused because of its own success.
//!
//! Nothing here is told to a client before the round is chosen.

#[cfg(test)]
mod tests;

use crate::ballot::{Ballot, Version};
use crate::history::{History, HistoryLimits, OpRecord, Settled};
use crate::ids::OpId;
use crate::operation::{Answer, Change, ClientKey, Expiry, Operation, Outcome};
use crate::register::{Content, ContentType, Register, Value};

/// An earlier round that would have made the operation effective and whose Accept was sent, with what that round
/// computed for it. A round that merely refused the operation, or read for it, is no attempt: whatever became of it,
/// the operation has had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The round.
    pub ballot: Ballot,
    /// What the operation was to be answered if that round was chosen.
    pub answer: Answer,
}

/// An operation with all its attempts so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The operation.
    pub operation: Operation,
    /// Every round under which its Accept was sent with an effect: any of them in the history settles it.
    pub attempts: Vec<Attempt>,
}

impl Proposal {
    /// An operation that no Accept was sent for yet.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        Self { operation, attempts: Vec::new() }
    }
}

/// When and by which rules a round applies operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundContext<'a> {
    /// The round.
    pub ballot: Ballot,
    /// Unix milliseconds for the judgement of expiry; never beyond the ballot's own time.
    pub judge_ms: u64,
    /// How long after the ballot's time the operations are applied, in milliseconds: [`Register::lag_ms`] of a change.
    pub lag_ms: u32,
    /// The nodes' disks have no room: operations that grow the data are looked up, and not applied.
    pub no_room: bool,
    /// How much history the register carries on.
    pub limits: &'a HistoryLimits,
}

/// What a round proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The register for phase two.
    pub register: Register,
    /// An answer for each operation, in their order; to be given only once the round is chosen.
    pub answers: Vec<Answer>,
}

/// The round needs the value's bytes, and phase one did not bring them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value's bytes are needed")]
pub struct NeedsValue;

/// Applies `proposals` in order to the register that phase one found.
///
/// # Errors
/// [`NeedsValue`] when the found value is withheld and an operation reads it, or nothing replaces it.
pub fn apply<'p>(
    found: &Register,
    context: RoundContext<'_>,
    proposals: impl IntoIterator<Item = &'p Proposal>,
) -> Result<Applied, NeedsValue> {
    let mut state = State::new(found, context);
    state.expire();
    let mut answers = Vec::new();
    for proposal in proposals {
        answers.push(state.answer(proposal)?);
    }
    Ok(Applied { register: state.finish()?, answers })
}

/// What an operation would be answered by the register alone, without any round: only a refusal, and only when
/// it does not rest on expiry. The caller has made sure that the rule for early refusals holds.
#[must_use]
pub fn refusal(found: &Register, judge_ms: u64, operation: &Operation) -> Option<Outcome> {
    if found.is_expired(judge_ms) {
        return None;
    }
    if !operation.condition.holds(found.etag()) {
        return Some(Outcome::PreconditionFailed { current: found.etag() });
    }
    match &operation.change {
        Change::Delete | Change::Touch { .. } if !found.content.is_live() => Some(Outcome::NotFound),
        _ => None,
    }
}

/// The register while a round's operations are applied one after another.
struct State<'a> {
    context: RoundContext<'a>,
    found: &'a Register,
    version: Version,
    lag_ms: u32,
    content: Content,
    expires_at: Option<u64>,
    changes: u32,
    records: Vec<OpRecord>,
}

impl<'a> State<'a> {
    fn new(found: &'a Register, context: RoundContext<'a>) -> Self {
        assert!(context.ballot > found.accepted, "a round builds only on what is below it");
        assert!(
            context.judge_ms <= context.ballot.hlc.millis(),
            "expiry is judged at most at the ballot's time"
        );
        Self {
            context,
            found,
            version: found.version,
            lag_ms: found.lag_ms,
            content: found.content.clone(),
            expires_at: found.expires_at,
            changes: 0,
            records: Vec::new(),
        }
    }

    /// Turns a value that has ended into a tombstone: a change like any other.
    fn expire(&mut self) {
        if self.found.is_expired(self.context.judge_ms) {
            self.set(Content::Tombstone, None);
        }
    }

    fn answer(&mut self, proposal: &Proposal) -> Result<Answer, NeedsValue> {
        let operation = &proposal.operation;
        if operation.change == Change::Read {
            return self.read();
        }
        match &operation.client_key {
            Some(key) => self.answer_keyed(operation, key),
            None => self.answer_unkeyed(proposal),
        }
    }

    fn has_no_room_for(&self, operation: &Operation) -> bool {
        self.context.no_room && operation.change.grows()
    }

    fn answer_unkeyed(&mut self, proposal: &Proposal) -> Result<Answer, NeedsValue> {
        let attempts = proposal.attempts.iter().map(|attempt| (attempt.ballot, &attempt.answer));
        match self.found.history.settle_rounds(self.found.version.ballot, attempts) {
            Settled::Applied(answer) => Ok(answer.clone()),
            Settled::Forgotten => Ok(Answer::Forgotten),
            Settled::NotApplied if self.has_no_room_for(&proposal.operation) => Ok(Answer::NoRoom),
            Settled::NotApplied => self.change(&proposal.operation).map(Answer::Settled),
        }
    }

    fn answer_keyed(&mut self, operation: &Operation, key: &ClientKey) -> Result<Answer, NeedsValue> {
        assert!(self.context.ballot >= key.birth_ballot(), "an operation is not proposed before its birth");
        match self.settle_keyed(key) {
            Settled::Applied(record) if record.fingerprint == key.fingerprint => {
                Ok(Answer::Settled(record.outcome.clone()))
            }
            Settled::Applied(_) => Ok(Answer::KeyReused),
            Settled::Forgotten => Ok(Answer::Forgotten),
            Settled::NotApplied if self.has_no_room_for(operation) => Ok(Answer::NoRoom),
            Settled::NotApplied => {
                let outcome = self.change(operation)?;
                self.record(key.id, key.fingerprint, outcome.clone());
                Ok(Answer::Settled(outcome))
            }
        }
    }

    /// A repeat may share the round with its first attempt, so this round's own records count too.
    fn settle_keyed(&self, key: &ClientKey) -> Settled<&OpRecord> {
        match self.records.iter().find(|record| record.id == key.id) {
            Some(record) => Settled::Applied(record),
            None => self.found.history.settle_op(key.id, key.birth_ballot()),
        }
    }

    fn record(&mut self, id: OpId, fingerprint: u64, outcome: Outcome) {
        self.records.push(OpRecord { id, fingerprint, recorded: self.context.ballot, outcome });
        assert!(
            self.records.len() <= HistoryLimits::KEYED_OPS_PER_ROUND,
            "a round takes a bounded number of operations with a client's key"
        );
    }

    fn change(&mut self, operation: &Operation) -> Result<Outcome, NeedsValue> {
        let etag = self.etag();
        if !operation.condition.holds(etag) {
            return Ok(Outcome::PreconditionFailed { current: etag });
        }
        match &operation.change {
            Change::Read => unreachable!("reads are answered before"),
            Change::Put { value, expiry } => Ok(self.put(value.clone(), *expiry)),
            Change::Delete if etag.is_none() => Ok(Outcome::NotFound),
            Change::Delete => Ok(Outcome::Deleted(self.set(Content::Tombstone, None))),
            Change::Increment { by, expiry } => self.increment(*by, *expiry),
            Change::Touch { .. } if etag.is_none() => Ok(Outcome::NotFound),
            Change::Touch { expiry } => {
                let content = std::mem::replace(&mut self.content, Content::Tombstone);
                Ok(Outcome::Touched(self.set(content, expiry.as_millis())))
            }
        }
    }

    fn put(&mut self, value: Value, expiry: Expiry) -> Outcome {
        let existed = self.content.is_live();
        let version = self.set(Content::Live(value), expiry.as_millis());
        if existed { Outcome::Replaced(version) } else { Outcome::Created(version) }
    }

    fn increment(&mut self, by: i64, expiry: Expiry) -> Result<Outcome, NeedsValue> {
        let (present, content_type, expires_at) = match &self.content {
            Content::Tombstone => (Some(0), ContentType::text(), expiry.as_millis()),
            Content::Live(value) => {
                (parse_counter(&value.bytes), value.content_type.clone(), self.expires_at)
            }
            Content::Withheld { .. } => return Err(NeedsValue),
        };
        let Some(present) = present else { return Ok(Outcome::NotACounter) };
        let Some(value) = present.checked_add(by) else { return Ok(Outcome::CounterOverflow) };
        let stored = Value { bytes: value.to_string().into(), content_type };
        let version = self.set(Content::Live(stored), expires_at);
        Ok(Outcome::Incremented { version, value })
    }

    fn read(&self) -> Result<Answer, NeedsValue> {
        if matches!(self.content, Content::Withheld { .. }) {
            return Err(NeedsValue);
        }
        let state = Register {
            accepted: self.context.ballot,
            version: self.version,
            lag_ms: self.lag_ms,
            content: self.content.clone(),
            expires_at: self.expires_at,
            history: History::default(),
        };
        Ok(Answer::State(Box::new(state)))
    }

    fn etag(&self) -> Option<Version> {
        self.content.is_live().then_some(self.version)
    }

    /// Makes one change; its version is this round and the change's place in it.
    fn set(&mut self, content: Content, expires_at: Option<u64>) -> Version {
        let version = Version { ballot: self.context.ballot, index: self.changes };
        assert!(version > self.version, "versions strictly increase");
        self.changes += 1;
        self.version = version;
        self.lag_ms = self.context.lag_ms;
        self.content = content;
        self.expires_at = expires_at;
        version
    }

    fn finish(self) -> Result<Register, NeedsValue> {
        if matches!(self.content, Content::Withheld { .. }) {
            return Err(NeedsValue);
        }
        let Self { context, found, version, lag_ms, content, expires_at, changes, records } = self;
        let mut history = found.history.clone();
        if changes > 0 {
            history.push_round(found.version.ballot, context.ballot, context.limits);
        }
        if changes > 0 || !records.is_empty() {
            history.push_ops(records, context.ballot, context.limits);
        }
        Ok(Register { accepted: context.ballot, version, lag_ms, content, expires_at, history })
    }
}

/// The counter in a value: an optional minus sign and decimal digits, nothing else, within 64 bits.
fn parse_counter(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
