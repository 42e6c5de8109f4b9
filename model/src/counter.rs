//! What the operations mean, one after another.

use std::collections::BTreeMap;

use roundtable_consensus::{
    Answer, Change, ClientKey, Condition, Content, Expiry, Hlc, OpId, Operation, Outcome, Register, Value,
};
use stateright::semantics::SequentialSpec;

/// One operation of a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// Stores a number.
    Put(i64),
    /// Stores a number where there is none.
    Create(i64),
    /// Removes the number.
    Delete,
    /// Adds one.
    Increment,
    /// Reads.
    Read,
    /// An operation under a client's key; repeats have the same key.
    Keyed(u8, Box<Op>),
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ret {
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
}

/// One key: a number or nothing, and how each operation under a client's key ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Counter {
    number: Option<i64>,
    settled: BTreeMap<u8, Ret>,
}

impl SequentialSpec for Counter {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Put(number) => match self.number.replace(*number) {
                Some(_) => Ret::Replaced,
                None => Ret::Created,
            },
            Op::Create(_) if self.number.is_some() => Ret::Refused,
            Op::Create(number) => {
                self.number = Some(*number);
                Ret::Created
            }
            Op::Delete => self.number.take().map_or(Ret::NotFound, |_| Ret::Deleted),
            Op::Increment => {
                let sum = self.number.unwrap_or(0) + 1;
                self.number = Some(sum);
                Ret::Counted(sum)
            }
            Op::Read => Ret::Number(self.number),
            Op::Keyed(id, op) => match self.settled.get(id) {
                Some(ret) => ret.clone(),
                None => {
                    let ret = self.invoke(op);
                    self.settled.insert(*id, ret.clone());
                    ret
                }
            },
        }
    }
}

impl Op {
    /// The operation as a router proposes it.
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Put(number) => Operation::new(put(*number)),
            Self::Create(number) => {
                Operation { condition: Condition::Absent, ..Operation::new(put(*number)) }
            }
            Self::Delete => Operation::new(Change::Delete),
            Self::Increment => Operation::new(Change::Increment { by: 1, expiry: Expiry::Never }),
            Self::Read => Operation::new(Change::Read),
            Self::Keyed(id, op) => {
                let key = ClientKey { id: OpId((*id).into()), birth: Hlc::from_millis(1), fingerprint: 0 };
                Operation { client_key: Some(key), ..op.operation() }
            }
        }
    }
}

fn put(number: i64) -> Change {
    let value = Value { bytes: number.to_string().into(), ..Value::default() };
    Change::Put { value, expiry: Expiry::Never }
}

/// The number that a register holds.
pub(crate) fn number(register: &Register) -> Option<i64> {
    match &register.content {
        Content::Live(value) => std::str::from_utf8(&value.bytes).ok()?.parse().ok(),
        Content::Tombstone | Content::Withheld { .. } => None,
    }
}

/// What a client is told; nothing where the answer is that the outcome is not known.
pub(crate) fn ret(answer: &Answer) -> Option<Ret> {
    let outcome = match answer {
        Answer::State(register) => return Some(Ret::Number(number(register))),
        Answer::Forgotten => return None,
        Answer::KeyReused => panic!("the model's clients use a key for one request"),
        Answer::Settled(outcome) => outcome,
    };
    Some(match outcome {
        Outcome::Created(_) => Ret::Created,
        Outcome::Replaced(_) => Ret::Replaced,
        Outcome::Deleted(_) => Ret::Deleted,
        Outcome::Incremented { value, .. } => Ret::Counted(*value),
        Outcome::PreconditionFailed { .. } => Ret::Refused,
        Outcome::NotFound => Ret::NotFound,
        Outcome::Touched(_) | Outcome::NotACounter | Outcome::CounterOverflow => {
            panic!("the model's clients do not ask for what ends in {outcome:?}")
        }
    })
}
