//! One rule each, told as a short script.

use super::shell::*;
use crate::ballot::{Ballot, Hlc, ProposerId};
use crate::key::Key;
use crate::message::{Rejection, ReplyBody, RequestBody};
use crate::promise::{PromiseLimits, PromiseTable, StripedPromises};
use crate::register::{Content, Register};
use crate::replica::{
    DiskSpace, Handled, Lookup, ReadNeed, Readiness, Replica, ReplicaConfig, Stored, Ticket, Write,
};

const NOW_MS: u64 = 1_000_000;

fn shell() -> Shell<StripedPromises> {
    Shell::new(StripedPromises::new(PromiseLimits::STANDARD), NOW_MS, 0)
}

/// A shell whose horizon is far enough for the ballots of the next half second.
fn warm() -> Shell<StripedPromises> {
    let mut shell = shell();
    shell.settle(&key("other"), prepare(ballot(NOW_MS)));
    shell
}

fn outbid(ballot: Ballot) -> ReplyBody {
    ReplyBody::Rejected(Rejection::Outbid(ballot))
}

fn accepted() -> ReplyBody {
    ReplyBody::Accepted { next_promised: false }
}

fn needs(shell: &Shell<StripedPromises>, key: &Key, body: RequestBody) -> ReadNeed {
    shell.replica.read_needed(&shell.conditions, &request(key, body), 0)
}

fn withheld(ballot: Ballot, value_bytes: usize) -> Register {
    register(ballot, Some(value_bytes)).without_value()
}

#[test]
fn promise_beyond_the_horizon_waits_until_a_higher_one_is_durable() {
    let (mut shell, k) = (shell(), key("k"));
    assert_eq!(shell.ask(&k, prepare(ballot(NOW_MS))), None);
    shell.commit(1);
    assert_eq!(shell.told[0].1.body, ReplyBody::Promised(Register::absent(Ballot::ZERO)));
    assert_eq!(shell.disk.horizon, Ballot::floor_of(Hlc::from_millis(NOW_MS + 1_000)));
    let told = shell.ask(&k, prepare(ballot(NOW_MS + 1)));
    assert!(matches!(told, Some(ReplyBody::Promised(_))), "below the horizon nothing waits: {told:?}");
}

#[test]
fn promise_below_a_horizon_on_its_way_waits_too() {
    let (mut shell, k) = (shell(), key("k"));
    assert_eq!(shell.ask(&k, prepare(ballot(NOW_MS))), None);
    assert_eq!(shell.ask(&k, prepare(ballot(NOW_MS + 1))), None);
    assert_eq!(shell.queued(), 1, "one horizon covers both");
}

#[test]
fn horizon_raised_by_ticks_spares_later_ballots_the_wait() {
    let (mut shell, k) = (warm(), key("k"));
    for step in 1..50 {
        shell.conditions.now_ms = NOW_MS + step * 100;
        assert!(shell.ask(&k, prepare(ballot(shell.conditions.now_ms))).is_some(), "step {step}");
        shell.tick();
        shell.commit(usize::MAX);
    }
}

#[test]
fn promises_are_forgotten_by_a_crash_and_none_is_broken() {
    let (mut shell, k) = (shell(), key("k"));
    shell.settle(&k, prepare(ballot(NOW_MS)));
    let horizon = shell.disk.horizon;
    shell.crash(0, StripedPromises::new(PromiseLimits::STANDARD));
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS - 1))), outbid(horizon));
    assert_eq!(shell.settle(&k, prepare(ballot(NOW_MS + 999))), outbid(horizon));
    let until_ms = NOW_MS + 1_001;
    assert_eq!(shell.replica.readiness(NOW_MS), Readiness::Waits { until_ms });
    assert_eq!(shell.replica.readiness(until_ms), Readiness::Ready);
    assert!(matches!(shell.settle(&k, prepare(ballot(until_ms))), ReplyBody::Promised(_)));
}

#[test]
fn horizon_of_the_fastest_clock_tolerated_is_waited_for_after_a_restart() {
    let (mut shell, k) = (shell(), key("k"));
    let fastest = ballot(NOW_MS + CONFIG.clock_skew_ms_max);
    assert!(matches!(shell.settle(&k, prepare(fastest)), ReplyBody::Promised(_)));
    shell.crash(0, StripedPromises::new(PromiseLimits::STANDARD));
    assert!(matches!(shell.replica.readiness(NOW_MS), Readiness::Waits { .. }));
    assert!(matches!(shell.replica.readiness(NOW_MS - 1), Readiness::ClockBehind { .. }));
}

#[test]
fn ballot_too_far_ahead_is_refused_by_both_phases_and_leaves_nothing() {
    let (mut shell, k) = (shell(), key("k"));
    let far = ballot(NOW_MS + CONFIG.clock_skew_ms_max + 1);
    let refused = ReplyBody::Rejected(Rejection::ClockSkew { limit_ms: NOW_MS + CONFIG.clock_skew_ms_max });
    assert_eq!(needs(&shell, &k, prepare(far)), ReadNeed::None);
    assert_eq!(shell.ask(&k, prepare(far)), Some(refused.clone()));
    assert_eq!(shell.ask(&k, accept(far)), Some(refused));
    assert_eq!((shell.queued(), shell.replica.promises().len()), (0, 0));
}

#[test]
fn accept_of_the_promised_ballot_needs_no_reading() {
    let (mut shell, k) = (warm(), key("k"));
    assert_eq!(needs(&shell, &k, prepare(ballot(NOW_MS))), ReadNeed::Head);
    assert_eq!(needs(&shell, &k, accept(ballot(NOW_MS))), ReadNeed::Head, "it never saw a Prepare");
    shell.settle(&k, prepare(ballot(NOW_MS)));
    assert_eq!(needs(&shell, &k, accept(ballot(NOW_MS))), ReadNeed::None);
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS))), accepted());
    assert_eq!(shell.replica.promises().get(0, &k), None, "the accepted ballot says as much");
}

#[test]
fn accept_that_never_saw_a_prepare_is_taken_above_the_accepted_ballot_only() {
    let (mut shell, k) = (warm(), key("k"));
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS + 5))), accepted());
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS + 4))), outbid(ballot(NOW_MS + 5)), "a late one");
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS + 6))), accepted());
}

#[test]
fn accept_repeated_is_answered_when_the_first_is_durable_and_writes_nothing() {
    let (mut shell, k) = (warm(), key("k"));
    assert_eq!(shell.ask(&k, accept(ballot(NOW_MS))), None);
    assert_eq!(shell.ask(&k, accept(ballot(NOW_MS))), None, "the first is on its way");
    assert_eq!(shell.queued(), 1);
    shell.commit(1);
    assert_eq!(shell.told.len(), 3);
    assert_eq!(shell.ask(&k, accept(ballot(NOW_MS))), Some(accepted()));
    shell.settle(&k, prepare(ballot(NOW_MS + 1)));
    assert_eq!(shell.ask(&k, accept(ballot(NOW_MS))), Some(accepted()), "true whatever was promised since");
    shell.crash(0, StripedPromises::new(PromiseLimits::STANDARD));
    assert_eq!(shell.ask(&k, accept(ballot(NOW_MS))), Some(accepted()), "and after a crash");
    assert_eq!(shell.queued(), 0);
}

#[test]
fn answers_about_a_register_on_its_way_wait_for_it() {
    let (mut shell, k) = (warm(), key("k"));
    assert_eq!(shell.ask(&k, accept(ballot(NOW_MS))), None);
    assert_eq!(needs(&shell, &k, RequestBody::Read { want_value: true }), ReadNeed::None);
    assert_eq!(shell.ask(&k, RequestBody::Read { want_value: true }), None);
    assert_eq!(shell.ask(&k, RequestBody::Fetch { accepted: ballot(NOW_MS) }), None);
    assert_eq!(shell.ask(&k, prepare(ballot(NOW_MS + 1))), None);
    assert_eq!(shell.ask(&k, prepare(ballot(NOW_MS))), Some(outbid(ballot(NOW_MS + 1))), "refusals don't");
    assert!(shell.ask(&key("l"), RequestBody::Read { want_value: true }).is_some(), "another key doesn't");
    shell.commit(1);
    let whole = register(ballot(NOW_MS), Some(1));
    let told: Vec<_> = shell.told.iter().rev().take(3).map(|(_, reply)| reply.body.clone()).collect();
    assert!(told.contains(&ReplyBody::State(whole.clone())), "{told:?}");
    assert!(told.contains(&ReplyBody::Fetched(Some(whole))), "{told:?}");
    assert!(told.contains(&ReplyBody::Promised(withheld(ballot(NOW_MS), 1))), "{told:?}");
}

#[test]
fn accept_with_the_next_ballot_promised_spares_the_next_prepare() {
    let (mut shell, k) = (warm(), key("k"));
    let first = ballot(NOW_MS);
    let next = ballot(NOW_MS + 3);
    let rival = Ballot::new(next.hlc, ProposerId(0));
    let with_next =
        |ballot| RequestBody::Accept { register: register(ballot, Some(1)).into(), next: Some(next.hlc) };
    assert_eq!(shell.settle(&k, with_next(first)), ReplyBody::Accepted { next_promised: true });
    assert_eq!(shell.settle(&k, prepare(rival)), outbid(next));
    assert_eq!(shell.settle(&k, with_next(first)), ReplyBody::Accepted { next_promised: true }, "repeated");
    assert_eq!(needs(&shell, &k, accept(next)), ReadNeed::None);
    assert_eq!(shell.settle(&k, accept(next)), accepted());
}

#[test]
fn next_ballot_is_not_promised_over_a_higher_promise_or_beyond_the_skew() {
    let (mut shell, k) = (warm(), key("k"));
    let with_next = |ballot: Ballot| RequestBody::Accept {
        register: register(ballot, Some(1)).into(),
        next: Some(Hlc(ballot.hlc.0 + 1)),
    };
    shell.settle(&k, accept(ballot(NOW_MS)));
    shell.settle(&k, prepare(ballot(NOW_MS + 2)));
    assert_eq!(shell.settle(&k, with_next(ballot(NOW_MS))), accepted(), "repeated under a higher promise");
    let last = Hlc(Hlc::from_millis(NOW_MS + CONFIG.clock_skew_ms_max + 1).0 - 1);
    assert_eq!(shell.settle(&k, with_next(Ballot::new(last, ProposerId(1)))), accepted());
}

#[test]
fn promise_of_the_next_ballot_waits_for_a_horizon_above_it() {
    let (mut shell, k) = (warm(), key("k"));
    let last_below = Ballot::new(Hlc(shell.disk.horizon.hlc.0 - 1), ProposerId(1));
    shell.conditions.now_ms = last_below.hlc.millis();
    shell.batch(vec![request(
        &k,
        RequestBody::Accept {
            register: register(last_below, None).into(),
            next: Some(shell.disk.horizon.hlc),
        },
    )]);
    assert_eq!(shell.queued(), 2, "a horizon and the register");
    shell.commit(1);
    assert_eq!(shell.told.len(), 1);
    shell.commit(1);
    assert_eq!(shell.told[1].1.body, ReplyBody::Accepted { next_promised: true });
    assert!(shell.disk.horizon > Ballot::new(Hlc(last_below.hlc.0 + 1), ProposerId(1)));
}

#[test]
fn promise_of_the_next_ballot_to_a_repeated_accept_waits_for_the_horizon_too() {
    let (mut shell, k) = (warm(), key("k"));
    let last_below = Ballot::new(Hlc(shell.disk.horizon.hlc.0 - 1), ProposerId(1));
    shell.conditions.now_ms = last_below.hlc.millis();
    shell.settle(&k, accept(last_below));
    let with_next = RequestBody::Accept {
        register: register(last_below, Some(1)).into(),
        next: Some(shell.disk.horizon.hlc),
    };
    assert_eq!(shell.ask(&k, with_next), None);
    shell.commit(1);
    assert_eq!(shell.told.last().unwrap().1.body, ReplyBody::Accepted { next_promised: true });
    assert!(shell.disk.horizon > Ballot::new(Hlc(last_below.hlc.0 + 1), ProposerId(1)));
}

#[test]
fn value_is_told_only_when_asked_for_and_its_place_is_tracked() {
    let (mut shell, k) = (warm(), key("k"));
    let big = RequestBody::Accept { register: register(ballot(NOW_MS), Some(5)).into(), next: None };
    shell.settle(&k, big);
    let read = |want_value| RequestBody::Read { want_value };
    assert_eq!(needs(&shell, &k, read(false)), ReadNeed::Head);
    assert_eq!(needs(&shell, &k, read(true)), ReadNeed::Value);
    assert_eq!(shell.ask(&k, read(false)), Some(ReplyBody::State(withheld(ballot(NOW_MS), 5))));
    assert_eq!(shell.ask(&k, read(true)), Some(ReplyBody::State(register(ballot(NOW_MS), Some(5)))));
    assert_eq!(shell.ask(&k, RequestBody::Fetch { accepted: ballot(1) }), Some(ReplyBody::Fetched(None)));
    // The disk asserts that each write knows where the value before it lies.
    for (step, bytes) in [(1, Some(6)), (2, Some(4)), (3, Some(5)), (4, None), (5, Some(9))] {
        let next = ballot(NOW_MS + step);
        shell.ask(&k, prepare(next));
        let promised = (step % 2 == 0).then(|| Hlc(next.hlc.0 + 1));
        shell.ask(&k, RequestBody::Accept { register: register(next, bytes).into(), next: promised });
    }
    shell.commit(usize::MAX);
    assert!(shell.disk.registers[&k].spilled);
}

#[test]
fn disk_reserve_refuses_growth_at_the_first_phase_and_at_half_of_it_at_the_second() {
    let (mut shell, k) = (warm(), key("k"));
    let growing = |ballot| RequestBody::Prepare { ballot, want_value: false, grows: true };
    let sized = |ballot, bytes| RequestBody::Accept { register: register(ballot, bytes).into(), next: None };
    let refused = ReplyBody::Rejected(Rejection::DiskReserve);
    shell.settle(&k, sized(ballot(NOW_MS), Some(3)));
    shell.conditions.disk = DiskSpace::Low;
    assert_eq!(shell.settle(&k, growing(ballot(NOW_MS + 1))), refused);
    assert!(matches!(shell.settle(&k, prepare(ballot(NOW_MS + 1))), ReplyBody::Promised(_)));
    assert_eq!(shell.settle(&k, sized(ballot(NOW_MS + 1), Some(4))), accepted(), "it was prepared before");
    shell.conditions.disk = DiskSpace::Critical;
    assert_eq!(shell.settle(&k, sized(ballot(NOW_MS + 2), Some(5))), refused);
    assert_eq!(
        shell.settle(&k, sized(ballot(NOW_MS + 1), Some(4))),
        accepted(),
        "repeated: nothing is written"
    );
    assert_eq!(shell.settle(&k, sized(ballot(NOW_MS + 2), Some(4))), accepted(), "a read carries it forward");
    assert_eq!(shell.settle(&k, sized(ballot(NOW_MS + 3), None)), accepted(), "a delete");
    assert!(shell.ask(&k, RequestBody::Read { want_value: true }).is_some());
}

#[test]
fn absent_key_takes_part_in_nothing_at_or_below_the_purge_floor() {
    let (mut shell, k) = (warm(), key("k"));
    let floor = ballot(NOW_MS);
    shell.conditions.purge_floor = floor;
    let absent = Register::absent(floor);
    assert_eq!(absent.history.rounds_floor(), floor);
    assert_eq!(shell.ask(&k, RequestBody::Read { want_value: true }), Some(ReplyBody::State(absent.told())));
    assert_eq!(shell.settle(&k, prepare(floor)), outbid(floor));
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS - 1))), outbid(floor));
    assert_eq!(shell.settle(&k, prepare(ballot(NOW_MS + 1))), ReplyBody::Promised(absent));
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS + 1))), accepted());
}

/// The Accept's shortcut past the disk must not miss that the key was purged after its Prepare.
#[test]
fn accept_of_a_key_purged_since_its_prepare_is_refused_at_or_below_the_floor() {
    let (mut shell, k) = (warm(), key("k"));
    let tombstone = RequestBody::Accept { register: register(ballot(NOW_MS), None).into(), next: None };
    shell.settle(&k, tombstone);
    shell.settle(&k, prepare(ballot(NOW_MS + 5)));
    shell.disk.registers.remove(&k);
    shell.conditions.purge_floor = ballot(NOW_MS + 6);
    assert_eq!(needs(&shell, &k, accept(ballot(NOW_MS + 5))), ReadNeed::Head);
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS + 5))), outbid(ballot(NOW_MS + 6)));
    assert_eq!(shell.settle(&k, accept(ballot(NOW_MS + 7))), accepted());
}

/// Both requests were judged to need no reading; the first one's promise fills the table and drops the second's.
#[test]
fn accept_whose_promise_was_dropped_within_the_batch_is_refused() {
    let one_promise = PromiseLimits { stripes: 1, stripe_bytes_max: PromiseLimits::ENTRY_BYTES + 2 };
    let mut shell = Shell::new(StripedPromises::new(one_promise), NOW_MS, 0);
    shell.settle(&key("k"), prepare(ballot(NOW_MS)));
    shell.batch(vec![
        request(&key("l"), prepare(ballot(NOW_MS + 1))),
        request(&key("k"), accept(ballot(NOW_MS))),
    ]);
    assert_eq!(shell.told.last().unwrap().1.body, outbid(ballot(NOW_MS)), "the floor of the stripe");
    assert_eq!(
        shell.settle(&key("k"), accept(ballot(NOW_MS))),
        accepted(),
        "sent again, it is read and taken"
    );
}

#[test]
fn reply_repeats_the_request_id_and_tells_done() {
    let mut shell = shell();
    shell.conditions.done = false;
    shell.batch(vec![request(&key("k"), RequestBody::Read { want_value: false })]);
    assert_eq!((shell.told[0].1.id, shell.told[0].1.done), (7, false));
}

#[test]
#[should_panic(expected = "before the last commit was noted")]
fn reading_older_than_the_last_commit_stops_the_process() {
    let (mut shell, k) = (warm(), key("k"));
    let stale = Some(Lookup { as_of: shell.replica.durable(), stored: None });
    shell.settle(&k, accept(ballot(NOW_MS)));
    let late = request(&k, accept(ballot(NOW_MS - 1)));
    shell.replica.handle(&shell.conditions, late, 0, stale, &mut Handled::default());
}

#[test]
#[should_panic(expected = "was noted where")]
fn reading_that_contradicts_a_promise_stops_the_process() {
    let (mut shell, k) = (warm(), key("k"));
    shell.settle(&k, prepare(ballot(NOW_MS)));
    shell
        .disk
        .registers
        .insert(k.clone(), Stored { register: register(ballot(NOW_MS), None), spilled: false });
    shell.settle(&k, prepare(ballot(NOW_MS + 1)));
}

#[test]
#[should_panic(expected = "a withheld value would be stored")]
fn withheld_value_in_an_accept_stops_the_process() {
    let register = withheld(ballot(NOW_MS), 3);
    assert!(matches!(register.content, Content::Withheld { value_bytes: 3 }));
    warm().settle(&key("k"), RequestBody::Accept { register: register.into(), next: None });
}

#[test]
#[should_panic(expected = "is no write on its way")]
fn commit_of_a_ticket_that_was_never_given_stops_the_process() {
    let mut replica =
        Replica::new(ReplicaConfig::STANDARD, StripedPromises::new(PromiseLimits::STANDARD), Ballot::ZERO);
    replica.committed(Ticket(1));
}

#[test]
fn writes_of_one_request_come_in_order() {
    let mut replica = Replica::new(CONFIG, StripedPromises::new(PromiseLimits::STANDARD), Ballot::ZERO);
    let (conditions, mut out) = (shell().conditions, Handled::default());
    let lookup = Some(Lookup { as_of: Ticket::NONE, stored: None });
    replica.handle(&conditions, request(&key("k"), accept(ballot(NOW_MS))), 0, lookup, &mut out);
    assert!(matches!(out.writes[0], (Ticket(1), Write::Horizon(horizon)) if horizon > ballot(NOW_MS)));
    assert!(matches!(out.writes[1], (Ticket(2), Write::Accept { .. })));
    assert_eq!(out.replies[0].1, Ticket(2));
    assert_eq!((replica.issued(), replica.durable(), replica.pending()), (Ticket(2), Ticket::NONE, 1));
    replica.committed(Ticket(2));
    assert_eq!((replica.durable(), replica.pending()), (Ticket(2), 0));
}

#[test]
fn what_is_durable_and_not_found_yet_stays_known_and_its_horizon_is_waited_for_no_more() {
    let mut replica = Replica::new(CONFIG, StripedPromises::new(PromiseLimits::STANDARD), Ballot::ZERO);
    let (conditions, mut out) = (shell().conditions, Handled::default());
    let lookup = Some(Lookup { as_of: Ticket::NONE, stored: None });
    replica.handle(&conditions, request(&key("k"), accept(ballot(NOW_MS))), 0, lookup, &mut out);
    replica.synced(Ticket(2));
    assert_eq!((replica.durable(), replica.pending()), (Ticket::NONE, 1), "the disk does not tell it");
    let read = request(&key("k"), RequestBody::Read { want_value: true });
    assert_eq!(replica.read_needed(&conditions, &read, 0), ReadNeed::None);
    out.replies.clear();
    replica.handle(
        &conditions,
        request(&key("other"), prepare(ballot(NOW_MS + 1))),
        1,
        Some(Lookup { as_of: Ticket::NONE, stored: None }),
        &mut out,
    );
    let (reply, wait) = &out.replies[0];
    assert!(matches!(reply.body, ReplyBody::Promised(_)), "{reply:?}");
    assert_eq!(*wait, Ticket::NONE);
}

#[test]
#[should_panic(expected = "is no write on its way")]
fn sync_of_a_ticket_that_was_never_given_stops_the_process() {
    Replica::new(CONFIG, StripedPromises::new(PromiseLimits::STANDARD), Ballot::ZERO).synced(Ticket(1));
}

fn with_room(registers: usize) -> Shell<StripedPromises> {
    Shell::new(StripedPromises::new(PromiseLimits::STANDARD), NOW_MS, registers * ROOM_BYTES)
}

#[test]
fn register_in_steady_use_is_not_read_again() {
    let (mut shell, read) = (with_room(2), RequestBody::Read { want_value: true });
    let needs = |shell: &Shell<StripedPromises>, text| {
        let asked = request(&key(text), RequestBody::Read { want_value: true });
        shell.replica.read_needed(&shell.conditions, &asked, 0)
    };
    for (text, ms) in [("a", NOW_MS), ("b", NOW_MS + 1), ("c", NOW_MS + 2)] {
        shell.settle(&key(text), accept(ballot(ms)));
    }
    assert_eq!((needs(&shell, "b"), needs(&shell, "c")), (ReadNeed::None, ReadNeed::None));
    assert_eq!(needs(&shell, "a"), ReadNeed::Value, "the oldest went");
    let first = shell.ask(&key("a"), read.clone());
    assert_eq!(needs(&shell, "a"), ReadNeed::None, "what was read stays too");
    assert_eq!(shell.ask(&key("a"), read), first);
}

#[test]
#[should_panic(expected = "on the disk")]
fn recent_register_that_is_not_the_disks_is_noticed_by_these_tests() {
    let mut shell = with_room(2);
    shell.settle(&key("a"), accept(ballot(NOW_MS)));
    shell.disk.registers.clear();
    shell.settle(&key("b"), accept(ballot(NOW_MS + 1)));
}
