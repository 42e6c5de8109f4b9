//! Rounds that start at their Accept.

use super::*;
use crate::history::History;
use crate::round::head_start::Prospect;

/// What the first round, at 100 ms, wants promised for the second.
const NEXT: Ballot = Ballot::new(Hlc::from_millis(104), ProposerId(1));
/// What the second wants promised for the third.
const AFTER_NEXT: Ballot = Ballot::new(Hlc::from_millis(118), ProposerId(1));

/// Plays a put at 100 ms that asks for the next ballot; `promised` of its first two replies say that they promise it.
fn leader(found: Register, promised: [bool; 2]) -> Option<HeadStart> {
    let mut script = Script::new([put()]);
    script.round.next = Some(NEXT.hlc);
    script.promise(A, found.clone());
    script.promise(B, found);
    for (node, next_promised) in [A, B].into_iter().zip(promised) {
        script.reply(node, Step::Accept, ReplyBody::Accepted { next_promised });
    }
    script.round.take_head_start()
}

/// What a put of this proposer at 100 ms leaves.
fn head_start() -> HeadStart {
    leader(live(50, "old"), [true, true]).expect("a majority promised")
}

fn plan(operations: impl IntoIterator<Item = Operation>) -> RoundPlan {
    RoundPlan {
        ballot: ballot(900),
        replicas: Arc::new(ReplicaSet::single(vec![A, B, C])),
        limits: HistoryLimits::STANDARD,
        slots: (1..).zip(operations).map(|(token, op)| slot(token, op)).collect(),
        want_value: false,
        next: Some(AFTER_NEXT.hlc),
        guesses: false,
        no_room: false,
    }
}

fn start(
    operations: impl IntoIterator<Item = Operation>,
    head_start: &HeadStart,
) -> Result<Script, RoundPlan> {
    start_at(120, operations, head_start)
}

fn start_at(
    now_ms: u64,
    operations: impl IntoIterator<Item = Operation>,
    head_start: &HeadStart,
) -> Result<Script, RoundPlan> {
    let mut out = RoundOutput::default();
    let round = Round::start_at_accept(plan(operations), head_start, now_ms, |_| true, &mut out)?;
    Ok(Script { round, out, unusable: Vec::new() })
}

#[test]
fn next_ballot_is_the_one_asked_for_and_rests_on_what_was_accepted() {
    let head_start = head_start();
    assert_eq!(head_start.ballot, NEXT);
    assert_eq!(head_start.register.accepted, ballot(100));
    assert_eq!(head_start.register.content.value().map(|value| &value.bytes[..]), Some(&b"new"[..]));
}

#[test]
fn next_ballot_counts_only_if_a_majority_promised_it() {
    assert_eq!(leader(live(50, "old"), [true, false]), None);
    assert_eq!(leader(live(50, "old"), [false, false]), None);
}

#[test]
fn next_ballot_is_asked_for_on_our_own_keys_and_where_that_may_be_guessed_on_quiet_ones() {
    let of_another =
        Register { accepted: Ballot::new(Hlc::from_millis(50), ProposerId(9)), ..live(50, "old") };
    let table = [
        (live(50, "old"), false, true),
        (of_another.clone(), false, false),
        (of_another, true, false),
        (Register::absent(Ballot::ZERO), false, false),
        (Register::absent(Ballot::ZERO), true, true),
    ];
    for (found, guesses, asked) in table {
        let is_quiet = found.is_absent();
        let mut script = Script::new([put()]);
        (script.round.next, script.round.guesses) = (Some(NEXT.hlc), guesses);
        script.promise(A, found.clone());
        script.promise(B, found);
        let asks = |(_, body): &(NodeIndex, RequestBody)| matches!(body, RequestBody::Accept { next: Some(next), .. } if *next == NEXT.hlc);
        assert_eq!(script.out.sends.iter().filter(|send| asks(send)).count(), if asked { 3 } else { 0 });
        for node in [A, B] {
            script.reply(node, Step::Accept, ReplyBody::Accepted { next_promised: asked });
        }
        let left = script.round.take_head_start();
        assert_eq!(left.map(|left| left.guessed), asked.then_some(is_quiet));
    }
}

#[test]
fn next_ballot_has_prospects_where_this_proposer_alone_wrote_lately_or_nobody() {
    let at = |ms, proposer| Ballot::new(Hlc::from_millis(ms), ProposerId(proposer));
    let found = |accepted: Ballot, changes: &[Ballot]| {
        let (changed, before) = changes.split_last().expect("a register has a last change");
        let history = History::from_parts(before.to_vec(), Ballot::ZERO, Vec::new(), Ballot::ZERO);
        Register { accepted, version: Version { ballot: *changed, index: 0 }, history, ..live(50, "old") }
    };
    let alone = |ms, proposer| found(at(ms, proposer), &[at(ms, proposer)]);
    let table = [
        (alone(60_000, 1), Prospect::Own),
        (alone(30_000, 1), Prospect::Own),
        (alone(29_999, 1), Prospect::Unknown),
        (Register { lag_ms: 1, ..alone(29_999, 1) }, Prospect::Own),
        (alone(30_000, 2), Prospect::Shared),
        (alone(29_999, 2), Prospect::Unknown),
        (Register::absent(Ballot::ZERO), Prospect::Unknown),
        // Another changed it before: too lately, long enough ago, and behind a round of ours that changed nothing.
        (found(at(60_000, 1), &[at(30_000, 2), at(59_000, 1), at(60_000, 1)]), Prospect::Shared),
        (found(at(60_000, 1), &[at(29_999, 2), at(59_000, 1), at(60_000, 1)]), Prospect::Own),
        (found(at(60_000, 1), &[at(59_000, 2)]), Prospect::Shared),
        // Another's round that changed nothing.
        (found(at(59_000, 2), &[at(40_000, 1)]), Prospect::Shared),
    ];
    for (register, prospect) in table {
        assert_eq!(HeadStart::prospect(&register, at(60_000, 1)), prospect, "{register:?}");
    }
}

#[test]
fn round_at_its_accept_sends_no_prepare_and_keeps_the_lineage() {
    let head_start = head_start();
    let mut script = start([put()], &head_start).expect("starts");
    assert_eq!(script.take_sends(), "A1 A2 A3");
    let proposal = script.proposal().clone();
    assert_eq!(proposal.accepted, head_start.ballot);
    assert_eq!(proposal.version, Version { ballot: head_start.ballot, index: 0 });
    assert_eq!(proposal.history.rounds(), [], "the proposer knows its own");
    assert_eq!((proposal.lag_ms, proposal.changed_ms()), (16, 120), "the ballot is of 16 ms before");
    assert!(script.round.never_sent().next().is_none(), "an Accept is out: everything is in doubt");
    script.reply(A, Step::Accept, ReplyBody::Accepted { next_promised: true });
    let answers = chosen(script.reply(C, Step::Accept, ReplyBody::Accepted { next_promised: true }));
    assert!(matches!(answers[..], [(Token(1), Answer::Settled(Outcome::Replaced(_)))]));
    let next = script.round.take_head_start().expect("and so on");
    assert_eq!(next.ballot, AFTER_NEXT);
}

#[test]
fn refused_round_at_its_accept_leaves_its_operations_in_doubt_and_nothing_to_go_on_with() {
    let mut script = start([put()], &head_start()).expect("starts");
    script.reject(A, Step::Accept, Rejection::Outbid(ballot(110)));
    let progress = script.reject(B, Step::Accept, Rejection::Outbid(ballot(110)));
    let Progress::Failed { slots, reason } = progress else { panic!("{progress:?}") };
    assert_eq!(reason.outbid, Some(ballot(110)));
    assert_eq!(slots[0].proposal.attempts.len(), 1);
    assert_eq!(script.round.take_head_start(), None);
}

#[test]
fn operation_born_after_the_ballot_needs_a_prepare() {
    let born = |ms| {
        let key = ClientKey { id: OpId(7), birth: Hlc::from_millis(ms), fingerprint: 1 };
        Operation { client_key: Some(key), ..put() }
    };
    assert!(start([put(), born(104)], &head_start()).is_ok());
    assert!(start_at(5_104, [put(), born(104)], &head_start()).is_ok());
    assert!(start_at(5_105, [put(), born(104)], &head_start()).is_err(), "its record would go too early");
    assert!(start_at(5_105, [put()], &head_start()).is_ok());
    let plan = start([put(), born(105)], &head_start()).err().expect("given back");
    assert_eq!(plan.slots.len(), 2);
    assert!(plan.slots.iter().all(|slot| slot.proposal.attempts.is_empty()), "nothing was sent");
}

#[test]
fn round_that_needs_withheld_bytes_or_changes_nothing_needs_a_prepare() {
    let whole = head_start();
    let bare = HeadStart { register: whole.register.without_value(), ..whole.clone() };
    assert!(start([read()], &bare).is_err());
    assert!(start([increment()], &bare).is_err());
    assert!(start([put(), read()], &bare).is_ok());
    let refused_put = put_if(Condition::Matches(vec![version(7)]));
    assert!(start([refused_put.clone()], &whole).is_err(), "a refusal by itself writes nothing");
    assert!(start([refused_put, put()], &whole).is_ok());
}

#[test]
fn head_start_is_current_for_thirty_seconds_and_not_beyond_an_end() {
    let fresh = head_start();
    assert!(fresh.is_current(104) && fresh.is_current(30_104) && !fresh.is_current(30_105));
    let ending = Register { expires_at: Some(300), ..fresh.register.clone() };
    let ending = HeadStart { register: ending, ..fresh };
    assert!(ending.is_current(299) && !ending.is_current(300));
}
