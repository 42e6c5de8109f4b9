//! Clients: each makes one call after the other through any router, and keeps what it saw.

use std::collections::BTreeMap;

use bytes::Bytes;
use roundtable_consensus::{
    Answer, Change, ClientKey, Condition, Content, Expiry, Failure, Hlc, Key, OpId, Operation as Ask,
    Outcome, Register, Rng, Task, Value, Version,
};

use crate::checker::{Call, Demand, Ending, Operation};
use crate::properties::{Span, number};

/// How often a client repeats a call of unknown outcome under its idempotency key.
const REPEATS_MAX: u32 = 4;

impl WorkloadConfig {
    /// The keys that clients use, in order.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let of = |counter| (0..u64::from(self.keys)).map(move |number| key(counter, number));
        of(true).chain(of(false)).collect()
    }
}

fn key(counter: bool, number: u64) -> Key {
    let name = format!("{}{number}", if counter { "counter" } else { "value" });
    let Ok(key) = Key::new(name) else { unreachable!("a word and a number are a key") };
    key
}

/// What the clients do.
#[derive(Debug, Clone)]
pub struct WorkloadConfig {
    /// Clients at once.
    pub clients: u32,
    /// Keys of plain values; as many counters beside them.
    pub keys: u32,
    /// Calls of each client.
    pub calls: u32,
    /// Of a hundred calls, how many ask for all keys.
    pub listing_percent: u64,
    /// Of a hundred puts, how many have a time to live.
    pub ending_percent: u64,
}

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    pub(crate) call: Call,
    client_key: Option<ClientKey>,
    ttl_ms: Option<u64>,
    pub(crate) invoked: u64,
    repeats: u32,
}

impl Pending {
    /// Whether the answer says that no part of the call is ever applied: an earlier try under its key may be.
    pub(crate) fn is_never_applied(&self, answer: Option<&Result<Answer, Failure>>) -> bool {
        let never = match answer {
            Some(Err(failure)) => *failure != Failure::Unknown,
            Some(Ok(answer)) => *answer == Answer::NoRoom,
            None => false,
        };
        self.repeats == 0 && never
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: u32,
    calls_left: u32,
    pub(crate) pending: Option<Pending>,
    /// When it asked for all keys, while it waits for them.
    pub(crate) listing_since: Option<u64>,
    /// The version that the client last saw of each key.
    seen: BTreeMap<Key, Version>,
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The call is over.
    Done,
    /// The same call again, under the same idempotency key.
    Repeat,
}

/// Everything that clients saw, by key.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) histories: BTreeMap<Key, Vec<Operation>>,
    pub(crate) calls: u64,
    pub(crate) in_doubt: u64,
    pub(crate) never_applied: u64,
}

impl Client {
    pub(crate) fn new(number: u32, config: &WorkloadConfig) -> Self {
        Self { number, calls_left: config.calls, pending: None, listing_since: None, seen: BTreeMap::new() }
    }

    /// A client that makes one call and nothing else.
    pub(crate) fn auditor(number: u32, key: Key, call: Call, true_us: u64) -> Self {
        let once = Pending { key, call, client_key: None, ttl_ms: None, invoked: true_us, repeats: 0 };
        Self { number, calls_left: 0, pending: Some(once), listing_since: None, seen: BTreeMap::new() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.calls_left == 0 && self.pending.is_none() && self.listing_since.is_none()
    }

    /// Chooses the next call; `None` when the client has made all of its calls.
    pub(crate) fn choose(
        &mut self,
        true_us: u64,
        true_ms: u64,
        config: &WorkloadConfig,
        rng: &mut Rng,
    ) -> Option<()> {
        self.calls_left = self.calls_left.checked_sub(1)?;
        if rng.up_to(99) < config.listing_percent {
            self.listing_since = Some(true_us);
            return Some(());
        }
        let number = rng.up_to(u64::from(config.keys) * 2 - 1);
        let counter = number % 2 == 1;
        let key = key(counter, number / 2);
        let (call, ttl_ms) = if counter {
            (counter_call(rng), None)
        } else {
            self.value_call(&key, config.ending_percent, rng)
        };
        let keyed = call != Call::Read && rng.up_to(1) == 0;
        let client_key = keyed.then(|| ClientKey {
            id: OpId(u128::from(rng.next_u64())),
            birth: Hlc::from_millis(true_ms),
            fingerprint: 1,
        });
        self.pending = Some(Pending { key, call, client_key, ttl_ms, invoked: true_us, repeats: 0 });
        Some(())
    }

    fn value_call(&self, key: &Key, ending_percent: u64, rng: &mut Rng) -> (Call, Option<u64>) {
        let value = i64::try_from(rng.next_u64() >> 2).unwrap_or(0);
        let demand = self.demand(key, rng);
        match rng.up_to(9) {
            0..=3 => (Call::Read, None),
            4..=6 => {
                (Call::Put(value, demand), (rng.up_to(99) < ending_percent).then(|| 500 + rng.up_to(4_000)))
            }
            7 => (Call::Delete(demand), None),
            8 => (Call::Touch(demand), None),
            _ => (Call::Put(value, Demand::Absent), None),
        }
    }

    fn demand(&self, key: &Key, rng: &mut Rng) -> Demand {
        match (rng.up_to(3), self.seen.get(key)) {
            (0 | 1, Some(version)) => Demand::Version(*version),
            (2, _) => Demand::Exists,
            _ => Demand::None,
        }
    }

    /// What the router is asked, given its corrected clock.
    pub(crate) fn task(&self, hybrid_ms: u64) -> Option<Task> {
        let pending = self.pending.as_ref()?;
        let expiry = pending.ttl_ms.map_or(Expiry::Never, |ttl_ms| Expiry::At(hybrid_ms + ttl_ms));
        let (change, demand) = match pending.call {
            Call::Read | Call::Expiry(_) => return Some(Task::Read),
            Call::Put(value, demand) => {
                let value = Value { bytes: Bytes::from(value.to_string()), ..Value::default() };
                (Change::Put { value, expiry }, demand)
            }
            Call::Delete(demand) => (Change::Delete, demand),
            Call::Increment(by) => (Change::Increment { by, expiry: Expiry::Never }, Demand::None),
            Call::Touch(demand) => (Change::Touch { expiry: Expiry::Never }, demand),
        };
        let condition = match demand {
            Demand::None => Condition::None,
            Demand::Exists => Condition::Exists,
            Demand::Absent => Condition::Absent,
            Demand::Version(version) => Condition::Matches(vec![version]),
        };
        Some(Task::Change(Ask { change, condition, client_key: pending.client_key }))
    }

    /// Whether a router with this clock takes the call: a key from the future is refused before anything is tried.
    pub(crate) fn is_acceptable(&self, hybrid_ms: u64) -> bool {
        let birth =
            self.pending.as_ref().and_then(|pending| pending.client_key).map(|key| key.birth.millis());
        birth.is_none_or(|birth| birth <= hybrid_ms + 1_000)
    }

    /// Takes the answer; `None` when the router died with the call.
    pub(crate) fn on_answer(
        &mut self,
        true_us: u64,
        answer: Option<&Result<Answer, Failure>>,
        record: &mut Record,
    ) -> Next {
        let Some(mut pending) = self.pending.take() else { return Next::Done };
        let ending = answer.and_then(|answer| answer.as_ref().ok()).and_then(ending);
        if let Some(ending) = ending {
            self.notice(&pending.key, &ending);
            record.add(self.number, &pending, Some((true_us, ending)));
            return Next::Done;
        }
        let never_applied = pending.is_never_applied(answer);
        let forgotten = matches!(answer, Some(Ok(_)));
        if pending.call == Call::Read {
            record.calls += 1;
            return Next::Done;
        }
        if never_applied {
            record.calls += 1;
            record.never_applied += 1;
            return Next::Done;
        }
        if pending.client_key.is_some() && pending.repeats < REPEATS_MAX && !forgotten {
            pending.repeats += 1;
            self.pending = Some(pending);
            return Next::Repeat;
        }
        record.add(self.number, &pending, None);
        Next::Done
    }

    fn notice(&mut self, key: &Key, ending: &Ending) {
        match ending {
            Ending::Found(_, version) | Ending::Wrote { version, .. } | Ending::Counted(_, version) => {
                self.seen.insert(key.clone(), *version);
            }
            Ending::Refused(Some(version)) => {
                self.seen.insert(key.clone(), *version);
            }
            Ending::Nothing | Ending::Removed | Ending::Refused(None) => {}
        }
    }
}

impl Record {
    /// A client was told all keys, each with its value: every key counts as read, for as long as the listing took.
    pub(crate) fn add_listing(&mut self, client: u32, span: Span, keys: &[Key], items: &[(Key, Register)]) {
        self.calls += 1;
        for key in keys {
            let item = items.iter().find(|(listed, _)| listed == key);
            let found = item.and_then(|(_, register)| {
                Some(Ending::Found(number(register.content.value()?)?, register.version))
            });
            let ended = Some((span.told_us, found.unwrap_or(Ending::Nothing)));
            let read = Operation { client, call: Call::Read, invoked: span.begun_us, ended };
            self.histories.entry(key.clone()).or_default().push(read);
        }
    }

    fn add(&mut self, client: u32, pending: &Pending, ended: Option<(u64, Ending)>) {
        self.calls += 1;
        self.in_doubt += u64::from(ended.is_none());
        let history = self.histories.entry(pending.key.clone()).or_default();
        history.push(Operation { client, call: pending.call, invoked: pending.invoked, ended });
        if let (Call::Put(value, _), Some(_)) = (pending.call, pending.ttl_ms) {
            let expiry = Call::Expiry(value);
            history.push(Operation { client, call: expiry, invoked: pending.invoked, ended: None });
        }
    }
}

fn counter_call(rng: &mut Rng) -> Call {
    match rng.up_to(3) {
        0 => Call::Read,
        1 => Call::Increment(10),
        _ => Call::Increment(1),
    }
}

fn ending(answer: &Answer) -> Option<Ending> {
    Some(match answer {
        Answer::State(register) => match &register.content {
            Content::Live(value) => Ending::Found(number(value)?, register.version),
            Content::Tombstone => Ending::Nothing,
            Content::Withheld { .. } => return None,
        },
        Answer::Settled(outcome) => match outcome {
            Outcome::Created(version) => Ending::Wrote { version: *version, created: Some(true) },
            Outcome::Replaced(version) => Ending::Wrote { version: *version, created: Some(false) },
            Outcome::Touched(version) => Ending::Wrote { version: *version, created: Some(false) },
            Outcome::Deleted(_) => Ending::Removed,
            Outcome::Incremented { version, value } => Ending::Counted(*value, *version),
            Outcome::PreconditionFailed { current } => Ending::Refused(*current),
            Outcome::NotFound => Ending::Nothing,
            Outcome::NotACounter | Outcome::CounterOverflow => return None,
        },
        Answer::KeyReused | Answer::Forgotten | Answer::NoRoom => return None,
    })
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc, ProposerId};

    use super::*;
    use crate::properties::judge_histories;

    fn register(value: i64, ms: u64) -> Register {
        let ballot = Ballot::new(Hlc::from_millis(ms), ProposerId(1));
        Register {
            version: Version { ballot, index: 0 },
            content: Content::Live(Value { bytes: value.to_string().into(), ..Value::default() }),
            ..Register::absent(Ballot::ZERO)
        }
    }

    /// A value stored by one call, and a listing by another at this time.
    fn listed(begun_us: u64, items: &[(Key, Register)]) -> bool {
        let config = WorkloadConfig { clients: 1, keys: 1, calls: 1, listing_percent: 0, ending_percent: 0 };
        let mut record = Record::default();
        let put = Ending::Wrote { version: register(7, 5).version, created: Some(true) };
        let put =
            Operation { client: 0, call: Call::Put(7, Demand::None), invoked: 10, ended: Some((20, put)) };
        record.histories.entry(key(false, 0)).or_default().push(put);
        let span = Span { begun_us, told_us: begun_us + 10 };
        record.add_listing(1, span, &config.keys(), items);
        judge_histories(&record.histories).is_ok()
    }

    #[test]
    fn a_listing_that_leaves_out_a_key_or_shows_another_value_is_noticed() {
        let item = |value, ms| [(key(false, 0), register(value, ms))];
        assert!(listed(30, &item(7, 5)));
        assert!(!listed(30, &[]), "the value was there");
        assert!(listed(15, &[]), "the put may have come later");
        assert!(!listed(30, &item(8, 6)), "nobody stored that");
        assert!(!listed(30, &item(7, 6)), "that is not its version");
        assert!(
            !listed(30, &[(key(true, 0), register(1, 1)), (key(false, 0), register(7, 5))]),
            "no counter was made"
        );
    }
}
