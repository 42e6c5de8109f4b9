//! How rounds end without being chosen, and what they say about it.

use super::*;

fn skew(limit_ms: u64) -> Rejection {
    Rejection::ClockSkew { limit_ms }
}

#[test]
fn rejection_by_a_minority_is_overruled() {
    for why in [Rejection::Outbid(ballot(900)), skew(1), Rejection::DiskReserve, Rejection::NotReady] {
        let mut script = Script::new([put()]);
        script.take_sends();
        assert_eq!(script.reject(A, Step::Prepare, why), Progress::Running);
        assert_eq!(script.take_sends(), "P3", "another is asked instead");
        script.promise(B, live(50, "old"));
        script.promise(C, live(50, "old"));
        assert!(script.round.is_accepting(), "{why:?}");
        script.reject(A, Step::Accept, why);
        script.accept(B);
        chosen(script.accept(C));
    }
}

#[test]
fn round_that_a_majority_refuses_names_the_highest_ballot() {
    let mut script = Script::new([put()]);
    script.reject(A, Step::Prepare, Rejection::Outbid(ballot(300)));
    let reason = failure(script.reject(B, Step::Prepare, Rejection::Outbid(ballot(200))));
    assert_eq!(reason, RoundFailure { outbid: Some(ballot(300)), ..RoundFailure::default() });
}

#[test]
fn round_that_lost_phase_one_was_never_sent_and_one_that_lost_phase_two_was() {
    let mut script = Script::new([put()]);
    script.lose(A, Step::Prepare);
    let Progress::Failed { slots, reason } = script.lose(B, Step::Prepare) else {
        panic!("A and B are gone")
    };
    assert!(reason.lost && slots[0].proposal.attempts.is_empty());

    let mut script = Script::accepting();
    script.lose(A, Step::Accept);
    let Progress::Failed { slots, .. } = script.lose(B, Step::Accept) else { panic!("A and B are gone") };
    let answer = Answer::Settled(Outcome::Replaced(version(100)));
    assert_eq!(slots[0].proposal.attempts, [Attempt { ballot: ballot(100), answer }]);
}

#[test]
fn operation_that_the_lost_proposal_only_refused_is_not_in_doubt() {
    let mut script = Script::new([put(), put_if(Condition::Absent), read()]);
    script.promise(A, live(40, "older"));
    script.promise(B, live(50, "old"));
    script.lose(A, Step::Accept);
    let Progress::Failed { slots, .. } = script.lose(B, Step::Accept) else { panic!("A and B are gone") };
    let sent: Vec<usize> = slots.iter().map(|slot| slot.proposal.attempts.len()).collect();
    assert_eq!(sent, [1, 0, 0], "only the first put can have taken effect");
}

#[test]
fn every_attempt_is_kept_with_what_it_computed() {
    let mut first = slot(1, increment());
    let earlier = Answer::Settled(Outcome::Incremented { version: version(60), value: 6 });
    first.proposal.attempts.push(Attempt { ballot: ballot(60), answer: earlier });
    let mut script = Script::with_slots(ReplicaSet::single(vec![A, B, C]), vec![first]);
    script.promise(A, live(50, "7"));
    script.promise(B, live(50, "7"));
    script.lose(A, Step::Accept);
    let Progress::Failed { slots, .. } = script.lose(B, Step::Accept) else { panic!("A and B are gone") };
    let ballots: Vec<Ballot> = slots[0].proposal.attempts.iter().map(|attempt| attempt.ballot).collect();
    assert_eq!(ballots, [ballot(60), ballot(100)]);
}

#[test]
fn clock_limit_is_the_one_that_a_majority_allows() {
    // words of A, B, C (None: silent; Some(None): promised; Some(Some(limit)): refused), the limit named
    let table = [
        ([Some(Some(30)), Some(Some(40)), None], Some(40)), // C may take any
        ([Some(Some(40)), Some(Some(30)), None], Some(40)),
        ([Some(None), Some(Some(40)), Some(Some(30))], Some(40)),
    ];
    for (words, limit) in table {
        let mut script = Script::new([put()]);
        script.widen();
        let mut last = Progress::Running;
        for (node, word) in [A, B, C].into_iter().zip(words) {
            last = match word {
                None => continue,
                Some(None) => script.promise(node, live(50, "old")),
                Some(Some(limit_ms)) => script.reject(node, Step::Prepare, skew(limit_ms)),
            };
        }
        assert_eq!(failure(last).skew_limit_ms, limit, "{words:?}");
    }
}

#[test]
fn clock_of_one_replica_decides_only_if_no_majority_can_do_without_it() {
    let mut script = Script::new([put()]);
    script.reject(A, Step::Prepare, skew(30));
    let reason = failure(script.reject(B, Step::Prepare, Rejection::Outbid(ballot(200))));
    assert_eq!(reason.skew_limit_ms, None, "B takes this clock's time, and C may");

    let mut script = Script::new([put()]);
    script.lose(C, Step::Prepare);
    script.widen();
    script.promise(B, live(50, "old"));
    script.lose(C, Step::Prepare);
    let reason = failure(script.reject(A, Step::Prepare, skew(30)));
    assert_eq!(reason.skew_limit_ms, Some(30), "C is gone: A and B must agree on a time");
}

#[test]
fn outbid_round_does_not_wait_for_a_frozen_replica() {
    // C is frozen. Another router went first at B. Waiting for C would stall the key until C's messages are given up.
    let mut script = Script::new([put()]);
    script.unusable = vec![C];
    script.promise(A, live(50, "old"));
    let reason = failure(script.reject(B, Step::Prepare, Rejection::Outbid(ballot(200))));
    assert_eq!(reason.outbid, Some(ballot(200)));

    let mut script = Script::accepting();
    script.accept(A);
    script.reject(B, Step::Accept, Rejection::Outbid(ballot(200)));
    script.unusable = vec![C];
    assert_eq!(failure(script.widen()).outbid, Some(ballot(200)));
}

#[test]
fn round_starts_again_when_a_lost_replica_is_back_and_the_rest_is_frozen() {
    let mut script = Script::new([put()]);
    script.unusable = vec![B];
    script.promise(A, live(50, "old"));
    assert_eq!(script.lose(B, Step::Prepare), Progress::Running, "C may answer");
    script.unusable = vec![B, C];
    assert_eq!(script.widen(), Progress::Running, "nobody else is left");
    script.unusable = vec![C];
    assert!(failure(script.widen()).lost);
}

#[test]
fn round_starts_again_when_a_node_has_become_ready_and_another_freezes() {
    let mut script = Script::new([put()]);
    script.unusable = vec![B];
    script.promise(A, live(50, "old"));
    assert_eq!(script.reject(B, Step::Prepare, Rejection::NotReady), Progress::Running, "C may answer");
    script.unusable = vec![C];
    assert!(failure(script.widen()).unready);
}

#[test]
fn fetch_from_a_frozen_replica_is_given_up() {
    let mut script = Script::new([increment()]);
    script.promise(A, live(40, "1"));
    script.promise(B, live(50, "7").without_value());
    assert_eq!(script.widen(), Progress::Running, "B may answer");
    script.unusable = vec![B];
    assert!(failure(script.widen()).value_moved);
}

#[test]
fn full_queue_does_not_end_a_round_that_a_slow_replica_can_complete() {
    let mut script = Script::new([put()]);
    script.unusable = vec![C];
    script.promise(A, live(50, "old"));
    assert_eq!(script.reject(B, Step::Prepare, Rejection::Overloaded), Progress::Running);
    assert_eq!(script.widen(), Progress::Running);
    script.promise(C, live(50, "old"));
    assert!(script.round.is_accepting());
}

#[test]
fn refusals_are_told_apart() {
    let table = [
        (Rejection::Overloaded, RoundFailure { overloaded: true, ..RoundFailure::default() }),
        (Rejection::NotReady, RoundFailure { unready: true, ..RoundFailure::default() }),
        (Rejection::DiskReserve, RoundFailure { disk_low: vec![B], ..RoundFailure::default() }),
    ];
    for (why, expected) in table {
        let mut script = Script::new([put()]);
        script.lose(A, Step::Prepare);
        let reason = failure(script.reject(B, Step::Prepare, why));
        assert_eq!(reason, RoundFailure { lost: true, ..expected }, "{why:?}");
    }
}
