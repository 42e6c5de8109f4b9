//! What rounds make of registers: tables here, random lives of a key in [`lives`].

mod history;
mod lives;

use super::*;
use crate::ballot::{Hlc, ProposerId};
use crate::operation::Condition;

/// Each round has a proposer of its own.
fn ballot(ms: u64) -> Ballot {
    Ballot::new(Hlc::from_millis(ms), ProposerId(ms))
}

fn version(ms: u64, index: u32) -> Version {
    Version { ballot: ballot(ms), index }
}

fn value(text: &str) -> Value {
    Value { bytes: text.to_owned().into(), ..Value::default() }
}

/// A register whose value was put by the round at `ms`.
fn live(ms: u64, text: &str) -> Register {
    Register {
        accepted: ballot(ms),
        version: version(ms, 0),
        content: Content::Live(value(text)),
        ..Register::absent(Ballot::ZERO)
    }
}

fn tombstone(ms: u64) -> Register {
    Register { content: Content::Tombstone, ..live(ms, "") }
}

fn absent() -> Register {
    Register::absent(Ballot::ZERO)
}

fn put(text: &str) -> Operation {
    Operation::new(Change::Put { value: value(text), expiry: Expiry::Never })
}

fn increment(by: i64) -> Operation {
    Operation::new(Change::Increment { by, expiry: Expiry::Never })
}

fn delete() -> Operation {
    Operation::new(Change::Delete)
}

fn touch(end_ms: u64) -> Operation {
    Operation::new(Change::Touch { expiry: Expiry::At(end_ms) })
}

fn only_if(condition: Condition, operation: Operation) -> Operation {
    Operation { condition, ..operation }
}

/// An operation with a client's key that was born at `birth_ms`.
fn keyed(id: u128, birth_ms: u64, operation: Operation) -> Operation {
    let key = ClientKey { id: OpId(id), birth: Hlc::from_millis(birth_ms), fingerprint: 1 };
    Operation { client_key: Some(key), ..operation }
}

/// The round at `ms` applies operations that were never sent before.
fn round(found: &Register, ms: u64, operations: &[Operation]) -> Applied {
    let proposals: Vec<Proposal> = operations.iter().cloned().map(Proposal::new).collect();
    propose(found, ms, &proposals)
}

fn propose(found: &Register, ms: u64, proposals: &[Proposal]) -> Applied {
    let limits = HistoryLimits::STANDARD;
    let context =
        RoundContext { ballot: ballot(ms), judge_ms: ms, lag_ms: 0, no_room: false, limits: &limits };
    apply(found, context, proposals).unwrap()
}

fn outcome(found: &Register, operation: Operation) -> Outcome {
    match &round(found, 100, &[operation]).answers[..] {
        [Answer::Settled(outcome)] => outcome.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn change_ends_as_its_condition_and_the_value_say() {
    use Outcome::{Created, Deleted, NotFound, PreconditionFailed, Replaced, Touched};
    let here = || live(50, "v");
    let refused = |current| PreconditionFailed { current };
    let new = version(100, 0);
    let etag = || Condition::Matches(vec![version(50, 0)]);
    let table = [
        (absent(), put("x"), Created(new)),
        (tombstone(50), put("x"), Created(new)),
        (here(), put("x"), Replaced(new)),
        (here(), only_if(Condition::Absent, put("x")), refused(Some(version(50, 0)))),
        (absent(), only_if(Condition::Absent, put("x")), Created(new)),
        (absent(), only_if(Condition::Exists, put("x")), refused(None)),
        (here(), only_if(etag(), put("x")), Replaced(new)),
        (tombstone(50), only_if(etag(), put("x")), refused(None)), // a tombstone has no ETag
        (here(), delete(), Deleted(new)),
        (absent(), delete(), NotFound),
        (tombstone(50), delete(), NotFound),
        (absent(), only_if(etag(), delete()), refused(None)),
        (here(), touch(900), Touched(new)),
        (tombstone(50), touch(900), NotFound),
        (live(50, "x1"), increment(1), Outcome::NotACounter),
    ];
    for (found, operation, expected) in table {
        assert_eq!(outcome(&found, operation.clone()), expected, "{operation:?} on {:?}", found.content);
    }
}

#[test]
fn counters_are_decimal_signed_64_bit_integers() {
    let incremented = |value| Outcome::Incremented { version: version(100, 0), value };
    let table = [
        ("0", 5, incremented(5)),
        ("-7", 7, incremented(0)),
        ("007", 1, incremented(8)),
        ("9223372036854775806", 1, incremented(i64::MAX)),
        ("9223372036854775807", 1, Outcome::CounterOverflow),
        ("-9223372036854775808", -1, Outcome::CounterOverflow),
        ("9223372036854775808", 1, Outcome::NotACounter),
        ("", 1, Outcome::NotACounter),
        ("-", 1, Outcome::NotACounter),
        ("+1", 1, Outcome::NotACounter),
        ("1 ", 1, Outcome::NotACounter),
        ("1.0", 1, Outcome::NotACounter),
        ("\u{0661}", 1, Outcome::NotACounter), // a digit elsewhere
    ];
    for (text, by, expected) in table {
        assert_eq!(outcome(&live(50, text), increment(by)), expected, "{text:?}");
    }
    assert_eq!(outcome(&absent(), increment(-3)), incremented(-3), "no value counts as 0");
}

#[test]
fn increment_sets_an_end_only_where_it_creates_the_counter() {
    let ends = Operation::new(Change::Increment { by: 1, expiry: Expiry::At(900) });
    let created = round(&absent(), 100, std::slice::from_ref(&ends)).register;
    assert_eq!(created.expires_at, Some(900));
    assert_eq!(created.content.value().unwrap().content_type, ContentType::text());
    let kept = round(&Register { expires_at: Some(500), ..live(50, "1") }, 100, &[ends]).register;
    assert_eq!(kept.expires_at, Some(500));
}

#[test]
fn changes_of_one_round_see_each_other_and_have_a_version_each() {
    let operations = [
        put("1"),
        increment(1),
        only_if(Condition::Matches(vec![version(100, 0)]), put("lost")),
        delete(),
        put("9"),
    ];
    let Applied { register, answers } = round(&absent(), 100, &operations);
    let expected = [
        Outcome::Created(version(100, 0)),
        Outcome::Incremented { version: version(100, 1), value: 2 },
        Outcome::PreconditionFailed { current: Some(version(100, 1)) },
        Outcome::Deleted(version(100, 2)),
        Outcome::Created(version(100, 3)),
    ];
    assert_eq!(answers, expected.map(Answer::Settled));
    assert_eq!((register.version, register.content), (version(100, 3), Content::Live(value("9"))));
}

#[test]
fn round_without_a_change_carries_the_register_forward_under_its_own_ballot() {
    let found = Register { expires_at: Some(900), ..live(50, "v") };
    let refused = only_if(Condition::Absent, put("x"));
    for operations in [&[][..], &[refused], &[Operation::new(Change::Read)]] {
        let carried = round(&found, 100, operations).register;
        assert_eq!(carried, Register { accepted: ballot(100), ..found.clone() });
    }
    let nothing = round(&absent(), 100, &[delete()]).register;
    assert_eq!(nothing, Register { accepted: ballot(100), ..absent() });
}

#[test]
fn value_that_has_ended_becomes_a_tombstone_before_anything_else() {
    let ended = Register { expires_at: Some(100), ..live(50, "v") };
    let Applied { register, answers } =
        round(&ended, 100, &[only_if(Condition::Absent, put("x")), Operation::new(Change::Read)]);
    assert_eq!(
        answers[0],
        Answer::Settled(Outcome::Created(version(100, 1))),
        "the expiry was the first change"
    );
    assert_eq!(register.expires_at, None);
    for operation in [touch(900), delete()] {
        assert_eq!(outcome(&ended, operation), Outcome::NotFound, "no way back");
    }
    let not_yet = Register { expires_at: Some(101), ..live(50, "v") };
    assert_eq!(outcome(&not_yet, touch(900)), Outcome::Touched(version(100, 0)));
}

#[test]
fn withheld_value_is_needed_unless_it_is_replaced_or_has_ended() {
    let needs = |found: &Register, operation: Operation| {
        let limits = HistoryLimits::STANDARD;
        let context =
            RoundContext { ballot: ballot(100), judge_ms: 100, lag_ms: 0, no_room: false, limits: &limits };
        apply(found, context, &[Proposal::new(operation)]).is_err()
    };
    let withheld = live(50, "v").without_value();
    let table = [
        (put("x"), false),
        (delete(), false),
        (touch(900), true),
        (increment(1), true),
        (Operation::new(Change::Read), true),
        (only_if(Condition::Absent, put("x")), true),
        (only_if(Condition::Exists, put("x")), false),
    ];
    for (operation, expected) in table {
        assert_eq!(needs(&withheld, operation.clone()), expected, "{operation:?}");
    }
    let ended = Register { expires_at: Some(10), ..withheld };
    assert!(!needs(&ended, Operation::new(Change::Read)));
}

#[test]
fn read_in_a_round_tells_what_the_round_makes_of_the_key_so_far() {
    let Applied { answers, .. } =
        round(&live(50, "v"), 100, &[put("x"), Operation::new(Change::Read), put("y")]);
    let Answer::State(told) = &answers[1] else { panic!("{answers:?}") };
    assert_eq!((told.version, &told.content), (version(100, 0), &Content::Live(value("x"))));
    assert_eq!(told.history, History::default());
}

#[test]
fn early_refusal_speaks_only_of_what_is_certain_without_a_round() {
    let here = || live(50, "v");
    let ended = || Register { expires_at: Some(100), ..here() };
    let refused = Some(Outcome::PreconditionFailed { current: Some(version(50, 0)) });
    let table = [
        (here(), only_if(Condition::Absent, put("x")), refused),
        (here(), put("x"), None),
        (absent(), delete(), Some(Outcome::NotFound)),
        (tombstone(50), touch(900), Some(Outcome::NotFound)),
        (here(), increment(1), None), // the bytes may not even be there
        (ended(), only_if(Condition::Absent, put("x")), None),
        (ended(), delete(), None),
    ];
    for (found, operation, expected) in table {
        assert_eq!(refusal(&found, 100, &operation), expected, "{operation:?}");
    }
}

#[test]
#[should_panic(expected = "a round builds only on what is below it")]
fn round_at_or_below_what_it_found_is_a_programmer_fault() {
    round(&live(100, "v"), 100, &[]);
}
