//! What may be answered from phase one alone, and who may still join.

use super::*;

fn early_answers(operation: Operation, registers: [Register; 2]) -> Vec<(Token, Answer)> {
    let mut script = Script::new([operation]);
    let [first, second] = registers;
    script.promise(A, first);
    script.promise(B, second);
    script.out.early
}

#[test]
fn refusal_is_told_early_only_over_one_ballot_and_without_a_client_key() {
    let agreed = || [live(50, "old"), live(50, "old").without_value()];
    let absent = || [Register::absent(Ballot::ZERO), Register::absent(Ballot::ZERO)];
    let delete = || Operation::new(Change::Delete);
    let table = [
        (put_if(Condition::Absent), agreed(), Some(refused(Some(version(50))))),
        (put_if(Condition::Matches(vec![version(49)])), agreed(), Some(refused(Some(version(50))))),
        (put_if(Condition::Matches(vec![version(50)])), agreed(), None),
        (put_if(Condition::Exists), absent(), Some(refused(None))),
        (put_if(Condition::Exists), [tombstone(50), tombstone(50)], Some(refused(None))),
        (put_if(Condition::Exists), [tombstone(50), tombstone(60)], None),
        (put_if(Condition::Exists), [Register::absent(Ballot::ZERO), tombstone(60)], None),
        (put_if(Condition::Absent), [live(50, "old"), live(60, "old")], None),
        (keyed(put_if(Condition::Absent), 1), agreed(), None),
        (delete(), absent(), Some(Answer::Settled(Outcome::NotFound))),
        (delete(), agreed(), None),
        (keyed(delete(), 1), absent(), None),
    ];
    for (operation, registers, answer) in table {
        let told = early_answers(operation.clone(), registers);
        assert_eq!(
            told,
            answer.map(|answer| (Token(1), answer)).into_iter().collect::<Vec<_>>(),
            "{operation:?}"
        );
    }
}

#[test]
fn refusal_is_not_told_early_once_an_accept_with_its_effect_was_sent() {
    // The CAS may stand accepted at C alone: A and B refuse it, and a later round carries it forward.
    let mut first = slot(1, put_if(Condition::Absent));
    let answer = Answer::Settled(Outcome::Created(version(60)));
    first.proposal.attempts.push(Attempt { ballot: ballot(60), answer });
    let mut script = Script::with_slots(ReplicaSet::single(vec![A, B, C]), vec![first]);
    script.promise(A, live(50, "old"));
    script.promise(B, live(50, "old").without_value());
    assert_eq!(script.early(), [0_u64; 0]);
    script.accept(A);
    assert_eq!(chosen(script.accept(B)), [(Token(1), refused(Some(version(50))))], "told when chosen");
}

#[test]
fn answer_that_rests_on_expiry_waits_for_the_tombstone_to_be_chosen() {
    for operation in [read(), put_if(Condition::Exists), Operation::new(Change::Delete)] {
        let mut script = Script::new([operation]);
        let ended = || Register { expires_at: Some(99), ..live(50, "old") };
        script.promise(A, ended());
        script.promise(B, ended());
        assert_eq!(script.early(), [0_u64; 0]);
        assert_eq!(script.proposal().content, Content::Tombstone);
    }
}

#[test]
fn read_is_answered_early_when_a_majority_agrees_and_the_bytes_are_there() {
    let told = early_answers(read(), [live(50, "old"), live(50, "old").without_value()]);
    assert_eq!(told, [(Token(1), Answer::State(Box::new(live(50, "old"))))]);
    assert_eq!(early_answers(read(), [live(50, "old"), live(60, "new")]), []);
}

#[test]
fn early_answers_see_what_was_found_and_the_rest_goes_on_without_them() {
    let mut script = Script::new([put(), read(), put_if(Condition::Absent), put()]);
    script.promise(A, live(50, "old"));
    script.promise(B, live(50, "old"));
    assert_eq!(script.early(), [2, 3], "both against the register before the first put");
    script.accept(A);
    let answers = chosen(script.accept(B));
    let second = Version { index: 1, ..version(100) };
    assert_eq!(answers[1], (Token(4), Answer::Settled(Outcome::Replaced(second))));
}

#[test]
fn round_whose_operations_are_all_answered_early_sends_no_accept() {
    let mut script = Script::new([read(), put_if(Condition::Absent)]);
    script.take_sends();
    script.promise(A, live(50, "old"));
    assert_eq!(chosen(script.promise(B, live(50, "old"))), []);
    assert_eq!(script.take_sends(), "");
}

#[test]
fn operation_that_joined_is_never_answered_early() {
    let mut script = Script::new([put_if(Condition::Absent), put()]);
    script.promise(A, live(50, "old"));
    assert!(script.round.join(slot(3, put_if(Condition::Absent)), 10).is_none());
    script.promise(B, live(50, "old"));
    assert_eq!(script.early(), [1], "the third arrived after the messages were sent");
    script.accept(A);
    let answers = chosen(script.accept(B));
    assert_eq!(answers[1], (Token(3), refused(Some(version(100)))), "it sees the put before it");
}

#[test]
fn operation_that_joined_stays_late_when_an_earlier_one_is_withdrawn() {
    let mut script = Script::new([put(), put()]);
    assert!(script.round.join(slot(3, put_if(Condition::Absent)), 10).is_none());
    assert!(script.round.withdraw(Token(1)).is_some());
    assert!(script.round.withdraw(Token(9)).is_none());
    script.promise(A, live(50, "old"));
    script.promise(B, live(50, "old"));
    assert_eq!(script.early(), [0_u64; 0]);
    assert!(script.round.withdraw(Token(2)).is_none(), "in doubt from now on");
}

#[test]
fn joining_needs_room_and_a_round_that_asked_for_what_is_needed() {
    let touch = || Operation::new(Change::Touch { expiry: Expiry::Never });
    let young = || {
        let key = ClientKey { id: OpId(9), birth: Hlc::from_millis(101), fingerprint: 1 };
        Operation { client_key: Some(key), ..put() }
    };
    let delete = || Operation::new(Change::Delete);
    let table = [
        (put(), put(), true),
        (put(), delete(), true),
        (delete(), put(), false), // promises were asked of nodes whatever their disks
        (put(), touch(), false),  // the bytes were not asked for
        (increment(), touch(), true),
        (increment(), increment(), true),
        (increment(), read(), false),
        (put(), keyed(put(), 1), true),
        (put(), young(), false),
    ];
    for (first, second, joins) in table {
        let mut script = Script::new([first.clone()]);
        assert_eq!(script.round.join(slot(2, second.clone()), 2).is_none(), joins, "{first:?} {second:?}");
        assert!(!joins || script.round.join(slot(3, second), 2).is_some(), "full");
    }
    assert!(Script::accepting().round.join(slot(2, put()), 10).is_some(), "too late");
}

#[test]
fn round_takes_sixty_four_operations_with_a_client_key() {
    let mut script = Script::new((0..63).map(|id| keyed(put(), id)));
    assert!(script.round.join(slot(100, keyed(put(), 100)), 512).is_none());
    assert!(script.round.join(slot(101, keyed(put(), 101)), 512).is_some());
    assert!(script.round.join(slot(102, put()), 512).is_none());
    script.promise(A, live(50, "old"));
    script.promise(B, live(50, "old"));
    assert_eq!(script.proposal().history.ops().len(), 64);
}
