//! What the model's clients ask for and what they are told, beside the forms that the product has for it.

use roundtable_consensus::{
    Answer, Change, ClientKey, Condition, Content, Expiry, Hlc, OpId, Operation, Outcome, Register, Value,
    Version,
};

/// When values with an end have ended: before every round's ballot, so that only the judges' clocks differ.
pub(crate) const END_MS: u64 = 5;

/// One operation of a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// Stores a number.
    Put(i64),
    /// Stores a number that has an end.
    PutUntil(i64),
    /// Stores a number where there is none.
    Create(i64),
    /// Stores a number over the version that this proposer's clients were told of last.
    Swap(i64),
    /// The same, with the version filled in; no version matches nothing.
    SwapOver(Option<Version>, i64),
    /// Removes the number.
    Delete,
    /// Adds one.
    Increment,
    /// Reads.
    Read,
    /// An operation under a client's key; repeats have the same key.
    Keyed(u8, Box<Op>),
    /// No client's: time ends the number that was stored with an end under this name.
    End(i64),
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// Stored where there was none.
    Created,
    /// Stored over another.
    Replaced,
    /// Removed.
    Deleted,
    /// There was nothing to remove.
    NotFound,
    /// The condition did not hold.
    Refused,
    /// The number after the addition.
    Counted(i64),
    /// The number read.
    Number(Option<i64>),
    /// The number has come to its end. Nobody is told so.
    Ended,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ret {
    /// How the operation ended.
    pub what: What,
    /// The version of the change that it made; for one that made none, of the value that it found.
    pub version: Option<Version>,
}

impl Op {
    /// The operation with the version that its proposer's clients know.
    pub(crate) fn over(&self, known: Option<Version>) -> Self {
        match self {
            Self::Swap(number) => Self::SwapOver(known, *number),
            other => other.clone(),
        }
    }

    /// The operation as a router proposes it.
    pub(crate) fn operation(&self) -> Operation {
        let condition = match self {
            Self::Create(_) => Condition::Absent,
            Self::SwapOver(version, _) => Condition::Matches(version.iter().copied().collect()),
            _ => Condition::None,
        };
        let change = match self {
            Self::Put(number) | Self::Create(number) | Self::SwapOver(_, number) => {
                put(*number, Expiry::Never)
            }
            Self::PutUntil(number) => put(*number, Expiry::At(END_MS)),
            Self::Delete => Change::Delete,
            Self::Increment => Change::Increment { by: 1, expiry: Expiry::Never },
            Self::Read => Change::Read,
            Self::Keyed(id, op) => {
                let key = ClientKey { id: OpId((*id).into()), birth: Hlc::from_millis(1), fingerprint: 0 };
                return Operation { client_key: Some(key), ..op.operation() };
            }
            Self::Swap(_) | Self::End(_) => panic!("{self:?} is not for a router"),
        };
        Operation { condition, ..Operation::new(change) }
    }

    /// The number that is there once the operation has ended thus, where that can be told.
    pub(crate) fn leaves(&self, what: &What) -> Option<i64> {
        match (self, what) {
            (_, What::Counted(number)) => Some(*number),
            (_, What::Number(number)) => *number,
            (Self::Keyed(_, op), _) => op.leaves(what),
            (
                Self::Put(number) | Self::PutUntil(number) | Self::Create(number) | Self::SwapOver(_, number),
                What::Created | What::Replaced,
            ) => Some(*number),
            _ => None,
        }
    }

    /// Whether the operation has a client's key.
    pub(crate) fn is_keyed(&self) -> bool {
        matches!(self, Self::Keyed(..))
    }
}

impl What {
    /// Whether the operation changed the register.
    pub(crate) fn is_change(&self) -> bool {
        matches!(self, Self::Created | Self::Replaced | Self::Deleted | Self::Counted(_))
    }
}

impl Ret {
    /// The form in which a client gets an answer; nothing where the answer is that the outcome is not known.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let outcome = match answer {
            Answer::State(register) => return Some(Self::read(register)),
            Answer::Forgotten => return None,
            Answer::NoRoom => panic!("the model's disks have room"),
            Answer::KeyReused => panic!("the model's clients use a key for one request"),
            Answer::Settled(outcome) => outcome,
        };
        let (what, version) = match outcome {
            Outcome::Created(version) => (What::Created, Some(*version)),
            Outcome::Replaced(version) => (What::Replaced, Some(*version)),
            Outcome::Deleted(version) => (What::Deleted, Some(*version)),
            Outcome::Incremented { version, value } => (What::Counted(*value), Some(*version)),
            Outcome::PreconditionFailed { current } => (What::Refused, *current),
            Outcome::NotFound => (What::NotFound, None),
            Outcome::Touched(_) | Outcome::NotACounter | Outcome::CounterOverflow => {
                panic!("the model's clients do not ask for what ends in {outcome:?}")
            }
        };
        Some(Self { what, version })
    }

    /// What a reader is told of a register.
    pub(crate) fn read(register: &Register) -> Self {
        Self { what: What::Number(number(register)), version: register.etag() }
    }
}

/// The value that stands for a number.
pub(crate) fn value(number: i64) -> Value {
    Value { bytes: number.to_string().into(), ..Value::default() }
}

fn put(number: i64, expiry: Expiry) -> Change {
    Change::Put { value: value(number), expiry }
}

fn number(register: &Register) -> Option<i64> {
    match &register.content {
        Content::Live(value) => std::str::from_utf8(&value.bytes).ok()?.parse().ok(),
        Content::Tombstone | Content::Withheld { .. } => None,
    }
}
