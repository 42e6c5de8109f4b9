use roundtable_consensus::{Ballot, Hlc, ProposerId, Version};

use super::*;

fn v(number: u64) -> Version {
    Version { ballot: Ballot::new(Hlc(number), ProposerId(1)), index: 0 }
}

fn op(invoked: u64, call: Call, ended: Option<(u64, Ending)>) -> Operation {
    Operation { client: 0, call, invoked, ended }
}

fn wrote(version: u64) -> Ending {
    Ending::Wrote { version: v(version), created: None }
}

fn put(value: i64) -> Call {
    Call::Put(value, Demand::None)
}

fn verdict(operations: &[Operation]) -> Verdict {
    judge(operations, 100_000)
}

#[test]
fn a_sequential_history_is_linearizable() {
    let history = [
        op(0, put(1), Some((1, wrote(1)))),
        op(2, Call::Read, Some((3, Ending::Found(1, v(1))))),
        op(4, Call::Put(2, Demand::Version(v(1))), Some((5, wrote(2)))),
        op(6, Call::Put(3, Demand::Version(v(1))), Some((7, Ending::Refused(Some(v(2)))))),
        op(8, Call::Delete(Demand::None), Some((9, Ending::Removed))),
        op(10, Call::Read, Some((11, Ending::Nothing))),
        op(12, Call::Increment(5), Some((13, Ending::Counted(5, v(3))))),
        op(14, Call::Touch(Demand::None), Some((15, wrote(4)))),
    ];
    assert_eq!(verdict(&history), Verdict::Linearizable);
}

#[test]
fn a_stale_read_is_a_violation() {
    let history = [
        op(0, put(1), Some((1, wrote(1)))),
        op(2, put(2), Some((3, wrote(2)))),
        op(4, Call::Read, Some((5, Ending::Found(1, v(1))))),
    ];
    // The second put waits for whoever saw the first, and the read for the second put's end.
    assert!(matches!(verdict(&history), Verdict::Violation { placed: 1, stuck } if stuck == history[1..]));
}

#[test]
fn concurrent_calls_may_take_either_order_but_readers_must_agree() {
    let both = [op(0, put(1), Some((10, wrote(1)))), op(0, put(2), Some((10, wrote(2))))];
    let read = |at, value, version| op(at, Call::Read, Some((at + 1, Ending::Found(value, v(version)))));
    assert_eq!(verdict(&[both[0], both[1], read(11, 2, 2)]), Verdict::Linearizable);
    let torn = [both[0], both[1], read(11, 2, 2), read(13, 1, 1)];
    assert!(matches!(verdict(&torn), Verdict::Violation { .. }));
}

#[test]
fn versions_must_increase_along_the_order() {
    let history = [op(0, put(1), Some((1, wrote(5)))), op(2, put(2), Some((3, wrote(4))))];
    assert!(matches!(verdict(&history), Verdict::Violation { .. }));
}

#[test]
fn a_call_in_doubt_may_take_effect_late_or_never_but_not_twice() {
    let doubt = op(0, put(7), None);
    let found = |at, value, version| op(at, Call::Read, Some((at + 1, Ending::Found(value, v(version)))));
    let sure = op(2, put(1), Some((3, wrote(2))));
    assert_eq!(verdict(&[doubt, sure, found(4, 1, 2)]), Verdict::Linearizable);
    assert_eq!(verdict(&[doubt, sure, found(4, 1, 2), found(6, 7, 3)]), Verdict::Linearizable);
    let twice = [doubt, found(1, 7, 1), sure, found(4, 7, 3)];
    assert!(matches!(verdict(&twice), Verdict::Violation { .. }));
}

#[test]
fn an_increment_in_doubt_counts_at_most_once() {
    let doubt = op(0, Call::Increment(1), None);
    let counted =
        |at, value, version| op(at, Call::Increment(1), Some((at + 1, Ending::Counted(value, v(version)))));
    assert_eq!(verdict(&[doubt, counted(2, 1, 1), counted(4, 3, 3)]), Verdict::Linearizable);
    assert!(matches!(verdict(&[doubt, counted(2, 1, 1), counted(4, 4, 4)]), Verdict::Violation { .. }));
}

#[test]
fn an_expired_value_may_end_once_and_never_returns() {
    let stored = op(0, put(1), Some((1, wrote(1))));
    let expiry = op(0, Call::Expiry(1), None);
    let gone = op(5, Call::Read, Some((6, Ending::Nothing)));
    let back = op(7, Call::Read, Some((8, Ending::Found(1, v(1)))));
    assert_eq!(verdict(&[stored, expiry, gone]), Verdict::Linearizable);
    assert!(matches!(verdict(&[stored, gone]), Verdict::Violation { .. }));
    assert!(matches!(verdict(&[stored, expiry, gone, back]), Verdict::Violation { .. }));
}

#[test]
fn a_search_without_room_is_undecided() {
    let read = op(1, Call::Read, Some((2, Ending::Found(99, v(99)))));
    let history: Vec<Operation> =
        (0..12).map(|n| op(0, Call::Increment(1 << n), None)).chain([read]).collect();
    assert!(matches!(judge(&history, 100), Verdict::Undecided { .. }));
}

#[test]
fn many_calls_in_doubt_keep_the_search_short() {
    let doubts = (0..500).map(|n| op(n, put(1_000 + i64::try_from(n).unwrap()), None));
    let sure = (0..500).flat_map(|n| {
        let at = 1_000 + 10 * n;
        let value = i64::try_from(n).unwrap();
        [op(at, put(value), Some((at + 12, wrote(2 * n + 1)))), op(at + 2, Call::Delete(Demand::None), None)]
    });
    // One in doubt took effect: its value was found, and a delete in doubt ended it.
    let found = op(6_100, Call::Read, Some((6_101, Ending::Found(1_007, v(2_000)))));
    let gone = op(6_200, Call::Read, Some((6_201, Ending::Nothing)));
    let history: Vec<Operation> = doubts.chain(sure).chain([found, gone]).collect();
    assert_eq!(judge(&history, 20_000), Verdict::Linearizable);
    let back = op(6_300, Call::Read, Some((6_301, Ending::Found(1_007, v(2_000)))));
    let history: Vec<Operation> = history.into_iter().chain([back]).collect();
    assert!(matches!(judge(&history, 20_000), Verdict::Violation { .. }));
}
