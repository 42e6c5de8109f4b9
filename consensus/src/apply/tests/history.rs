//! History first: an operation that has taken effect is not judged again.

use super::*;

fn attempt(ms: u64, answer: Outcome) -> Attempt {
    Attempt { ballot: ballot(ms), answer: Answer::Settled(answer) }
}

fn retried(operation: Operation, attempts: Vec<Attempt>) -> Proposal {
    Proposal { operation, attempts }
}

fn incremented(ms: u64, value: i64) -> Outcome {
    Outcome::Incremented { version: version(ms, 0), value }
}

#[test]
fn attempt_in_the_lineage_settles_the_operation_and_leaves_the_register_alone() {
    // Rounds 50 and 60 changed the key. The attempt at 50 counted to 5; a put at 60 went over it.
    let counted = round(&live(40, "4"), 50, &[increment(1)]).register;
    let later = round(&counted, 60, &[put("9")]).register;
    for found in [counted, later] {
        let proposal =
            retried(increment(1), vec![attempt(45, incremented(45, 5)), attempt(50, incremented(50, 5))]);
        let Applied { register, answers } = propose(&found, 100, &[proposal]);
        assert_eq!(answers, [Answer::Settled(incremented(50, 5))]);
        assert_eq!(register, Register { accepted: ballot(100), ..found });
    }
}

#[test]
fn attempt_outside_the_lineage_is_applied_again() {
    let proposal = retried(increment(1), vec![attempt(45, incremented(45, 5))]);
    let Applied { answers, .. } = propose(&live(50, "4"), 100, &[proposal]);
    assert_eq!(answers, [Answer::Settled(incremented(100, 5))]);
}

#[test]
fn attempt_at_or_below_the_floor_is_not_known() {
    let mut found = live(50, "4");
    found.history.raise_floors(ballot(45));
    let at = |ms| retried(increment(1), vec![attempt(ms, incremented(ms, 5))]);
    let Applied { register, answers } = propose(&found, 100, &[at(44), at(45), at(46)]);
    let known = Answer::Settled(incremented(100, 5));
    assert_eq!(answers, [Answer::Forgotten, Answer::Forgotten, known]);
    assert_eq!(register.content, Content::Live(value("5")), "only the last was applied");
}

#[test]
fn lowest_attempt_decides_what_can_be_known() {
    let mut found = live(50, "4");
    found.history.raise_floors(ballot(45));
    let both = vec![attempt(40, incremented(40, 5)), attempt(48, incremented(48, 5))];
    assert_eq!(propose(&found, 100, &[retried(increment(1), both)]).answers, [Answer::Forgotten]);
}

#[test]
fn repeat_of_a_create_is_told_of_its_success_and_not_refused_because_of_it() {
    let create = keyed(1, 40, only_if(Condition::Absent, put("x")));
    let created = round(&absent(), 50, std::slice::from_ref(&create)).register;
    let Applied { register, answers } = round(&created, 100, &[create]);
    assert_eq!(answers, [Answer::Settled(Outcome::Created(version(50, 0)))]);
    assert_eq!(register, Register { accepted: ballot(100), ..created });
}

#[test]
fn refusal_with_a_client_key_is_recorded_under_the_recording_ballot() {
    let table = [
        (live(50, "x"), only_if(Condition::Absent, put("y"))),
        (tombstone(50), delete()),
        (tombstone(50), touch(900)),
        (live(50, "x"), increment(1)),
        (live(50, "9223372036854775807"), increment(1)),
    ];
    for (found, operation) in table {
        let first = round(&found, 70, &[keyed(1, 60, operation.clone())]);
        let [Answer::Settled(refused)] = &first.answers[..] else { panic!("{:?}", first.answers) };
        assert!(!refused.is_change());
        let record = &first.register.history.ops()[0];
        assert_eq!((record.recorded, &record.outcome), (ballot(70), refused));
        assert_eq!(first.register.version, found.version, "no change");
        // The key changes so that the operation would succeed now. Its repeat is told of the refusal all the same.
        let changed = round(&first.register, 80, &[delete(), put("1")]).register;
        assert_eq!(round(&changed, 100, &[keyed(1, 60, operation)]).answers, first.answers);
    }
}

#[test]
fn repeat_in_the_same_round_gets_the_first_ones_answer() {
    let twice = [keyed(1, 40, increment(1)), keyed(1, 40, increment(1))];
    let Applied { register, answers } = round(&live(50, "4"), 100, &twice);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(register.content, Content::Live(value("5")));
    assert_eq!(register.history.ops().len(), 1);
}

#[test]
fn client_key_used_for_another_request_changes_nothing() {
    let first = round(&live(50, "4"), 60, &[keyed(1, 40, increment(1))]).register;
    let mut other = keyed(1, 40, put("x"));
    other.client_key.as_mut().unwrap().fingerprint = 2;
    let Applied { register, answers } = round(&first, 100, &[other]);
    assert_eq!(answers, [Answer::KeyReused]);
    assert_eq!(register, Register { accepted: ballot(100), ..first });
}

#[test]
fn operation_born_at_or_below_the_floor_is_never_applied() {
    let mut found = live(50, "4");
    found.history.raise_floors(ballot(45));
    let born = |ms| round(&found, 100, &[keyed(1, ms, increment(1))]).answers;
    // A birth is the lowest ballot of its millisecond, and so below the floor's own.
    assert_eq!(born(45), [Answer::Forgotten]);
    assert_eq!(born(46), [Answer::Settled(incremented(100, 5))]);
}

#[test]
fn purged_key_remembers_by_its_floor_that_it_may_have_seen_the_operation() {
    let purged = Register::absent(ballot(70));
    assert_eq!(round(&purged, 100, &[keyed(1, 60, put("x"))]).answers, [Answer::Forgotten]);
    let written = round(&purged, 100, &[put("y")]).register;
    assert_eq!(written.history.ops_floor(), ballot(70), "the floor goes on with the new life");
    assert_eq!(round(&written, 200, &[keyed(1, 60, put("x"))]).answers, [Answer::Forgotten]);
}

#[test]
fn sixty_four_records_of_one_round_all_survive_it() {
    let full = round(&absent(), 50, &(0..64).map(|id| keyed(id, 40, put("x"))).collect::<Vec<_>>()).register;
    let again: Vec<Operation> = (100..164).map(|id| keyed(id, 40, put("x"))).collect();
    let next = round(&full, 60, &again).register;
    assert_eq!(next.history.ops().len(), 128);
    assert_eq!(next.history.ops_floor(), Ballot::ZERO);
}

#[test]
#[should_panic(expected = "a round takes a bounded number of operations")]
fn sixty_fifth_record_of_a_round_is_a_programmer_fault() {
    round(&absent(), 50, &(0..65).map(|id| keyed(id, 40, put("x"))).collect::<Vec<_>>());
}
