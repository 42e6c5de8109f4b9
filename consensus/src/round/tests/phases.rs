//! The way through the phases: whom a round asks, what it builds on, when it is chosen.

use super::*;

#[test]
fn round_that_nobody_disturbs_takes_two_trips_to_the_cheapest_majority_and_tells_all() {
    let mut script = Script::new([put()]);
    assert_eq!(script.take_sends(), "P1 P2");
    assert_eq!(script.promise(A, live(50, "old")), Progress::Running);
    assert_eq!(script.promise(B, live(50, "old")), Progress::Running);
    assert_eq!(script.take_sends(), "A1 A2 A3");
    assert_eq!(script.accept(C), Progress::Running);
    let answers = chosen(script.accept(A));
    assert_eq!(answers, [(Token(1), Answer::Settled(Outcome::Replaced(version(100))))]);
}

#[test]
fn round_builds_on_the_highest_register_of_its_majority() {
    let mut script = Script::new([Operation::new(Change::Delete)]);
    let by_another = |ms, text| {
        let accepted = Ballot::new(Hlc::from_millis(ms), ProposerId(9));
        Register { accepted, version: Version { ballot: accepted, index: 0 }, ..live(ms, text) }
    };
    script.promise(A, by_another(50, "old"));
    script.promise(B, by_another(60, "newer"));
    assert_eq!(script.proposal().history.rounds(), [Ballot::new(Hlc::from_millis(60), ProposerId(9))]);
}

#[test]
fn round_over_absent_replicas_carries_their_highest_purge_floor() {
    for floors in [[20, 30], [30, 20]] {
        let mut script = Script::new([put()]);
        script.promise(A, Register::absent(ballot(floors[0])));
        script.promise(B, Register::absent(ballot(floors[1])));
        assert_eq!(script.proposal().history.rounds_floor(), ballot(30));
        assert_eq!(script.proposal().history.ops_floor(), ballot(30));
    }
}

#[test]
fn round_over_one_register_ignores_the_purge_floor_of_an_absent_replica() {
    let mut script = Script::new([put()]);
    script.promise(A, Register::absent(ballot(30)));
    script.promise(B, live(50, "old"));
    assert_eq!(script.proposal().history.rounds_floor(), Ballot::ZERO);
}

#[test]
fn promise_of_a_register_at_or_above_the_round_counts_as_no_answer() {
    for unsound in
        [live(100, "same"), live(101, "later"), Register { accepted: ballot(40), ..live(50, "mixed") }]
    {
        let mut script = Script::new([put()]);
        script.promise(A, unsound);
        script.promise(B, live(50, "old"));
        assert!(!script.round.is_accepting(), "B alone is no majority");
        script.promise(C, live(50, "old"));
        assert!(script.round.is_accepting());
    }
}

#[test]
fn late_promise_changes_nothing_once_accepts_are_out() {
    let mut script = Script::accepting();
    let before = script.proposal().clone();
    assert_eq!(script.promise(C, live(90, "late")), Progress::Running);
    assert_eq!(*script.proposal(), before);
}

#[test]
fn late_refusal_of_a_promise_is_no_refusal_of_the_proposal() {
    // The Prepare to C was slow; its refusal comes while the Accepts are under way.
    let mut script = Script::accepting();
    assert_eq!(script.reject(C, Step::Prepare, Rejection::Outbid(ballot(70))), Progress::Running);
    assert_eq!(script.lose(B, Step::Accept), Progress::Running);
    script.accept(A);
    chosen(script.accept(C));
}

#[test]
fn value_that_turns_out_to_be_needed_is_fetched_from_a_replica_that_reported_it() {
    // A keyed operation's refusal is recorded, so the value goes forward; nobody had asked for its bytes.
    let mut script = Script::new([keyed(put_if(Condition::Absent), 1)]);
    assert_eq!(script.take_sends(), "P1 P2");
    script.promise(A, live(40, "older").without_value());
    script.promise(B, live(50, "old").without_value());
    assert_eq!(script.take_sends(), "F2");
    script.reply(B, Step::Fetch, ReplyBody::Fetched(Some(live(50, "old"))));
    assert_eq!(script.take_sends(), "A1 A2 A3");
    assert_eq!(script.proposal().content, live(50, "old").content);
    assert_eq!(script.proposal().version, version(50), "carried forward, not changed");
}

#[test]
fn fetch_goes_on_to_the_next_replica_and_fails_when_the_value_has_moved_everywhere() {
    let mut script = Script::new([keyed(put_if(Condition::Absent), 1)]);
    script.promise(A, live(50, "old").without_value());
    script.promise(B, live(50, "old").without_value());
    script.take_sends();
    assert_eq!(script.reply(A, Step::Fetch, ReplyBody::Fetched(None)), Progress::Running);
    assert_eq!(script.take_sends(), "F2");
    let reason = failure(script.lose(B, Step::Fetch));
    assert!(reason.value_moved);
}

#[test]
fn late_refusal_of_a_promise_is_no_failed_fetch() {
    let mut script = Script::new([keyed(put_if(Condition::Absent), 1)]);
    script.promise(A, live(40, "older").without_value());
    script.widen();
    script.promise(B, live(50, "old").without_value());
    script.take_sends();
    assert_eq!(script.reject(C, Step::Prepare, Rejection::Overloaded), Progress::Running);
    assert_eq!(script.take_sends(), "", "B still has the value");
    script.reply(B, Step::Fetch, ReplyBody::Fetched(Some(live(50, "old"))));
    assert!(script.round.is_accepting());
}

#[test]
fn fetched_register_of_another_ballot_is_not_used() {
    let mut script = Script::new([increment()]);
    script.promise(A, live(40, "1"));
    script.promise(B, live(50, "7").without_value());
    let reason = failure(script.reply(B, Step::Fetch, ReplyBody::Fetched(Some(live(60, "9")))));
    assert!(reason.value_moved);
}

#[test]
fn widening_asks_the_rest_and_wants_the_value_if_the_round_does() {
    let mut script = Script::new([increment()]);
    assert_eq!(script.take_sends(), "P1+ P2");
    assert_eq!(script.widen(), Progress::Running);
    assert_eq!(script.take_sends(), "P3+");
    assert_eq!(script.widen(), Progress::Running);
    assert_eq!(script.take_sends(), "", "everybody was asked");
}

#[test]
fn widening_passes_over_unusable_replicas_while_the_others_are_a_majority() {
    let mut script = Script::new([put()]);
    script.take_sends();
    script.unusable = vec![C];
    script.widen();
    assert_eq!(script.take_sends(), "");
    script.unusable = vec![B, C];
    script.widen();
    assert_eq!(script.take_sends(), "P3", "none can be spared");
}

#[test]
fn replica_passed_over_by_the_proposal_gets_it_when_another_fails() {
    // C was slow for a moment when the Accepts went out; then it is back and B freezes.
    let mut script = Script::new([put()]);
    script.unusable = vec![C];
    script.promise(A, live(50, "old"));
    script.promise(B, live(50, "old"));
    assert_eq!(script.take_sends(), "P1 P2 A1 A2");
    script.accept(A);
    script.unusable = vec![B];
    assert_eq!(script.widen(), Progress::Running);
    assert_eq!(script.take_sends(), "A3");
    chosen(script.accept(C));
}

#[test]
fn joint_round_needs_a_majority_of_both_sets_in_each_phase() {
    let old_and_new = || ReplicaSet::joint(vec![A, B, C], vec![B, C, NodeIndex(4)]);
    let mut script = Script::over(old_and_new(), [put()]);
    assert_eq!(script.take_sends(), "P2 P3", "B and C are a majority of both");
    script.promise(B, live(50, "old"));
    script.widen();
    script.promise(A, live(50, "old"));
    assert!(!script.round.is_accepting(), "A and B are no majority of the new set");
    script.promise(NodeIndex(4), Register::absent(Ballot::ZERO));
    assert!(script.round.is_accepting());
    assert_eq!(script.accept(C), Progress::Running);
    assert_eq!(script.accept(A), Progress::Running);
    chosen(script.accept(NodeIndex(4)));
}
