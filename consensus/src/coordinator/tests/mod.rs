//! What clients see of coordinators in the world of [`world`].

mod chaos;
mod faults;
mod head_starts;
mod limits;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use world::{Event, START_MS, World};

use crate::{
    Answer, Change, ClientKey, Condition, Content, Expiry, Failure, Hlc, Key, NodeIndex, OpId, Operation,
    Outcome, Reach, Register, RequestBody, Task, Token, Value, Version,
};

fn put(text: &str) -> Task {
    put_if(text, Condition::None)
}

fn put_if(text: &str, condition: Condition) -> Task {
    let value = Value { bytes: text.to_owned().into(), ..Value::default() };
    Task::Change(Operation {
        change: Change::Put { value, expiry: Expiry::Never },
        condition,
        client_key: None,
    })
}

fn increment(client_key: Option<ClientKey>) -> Task {
    Task::Change(Operation {
        change: Change::Increment { by: 1, expiry: Expiry::Never },
        condition: Condition::None,
        client_key,
    })
}

fn text(register: &Register) -> Option<String> {
    register.content.value().map(|value| String::from_utf8(value.bytes.to_vec()).unwrap())
}

/// Whether a message like this is on its way to a node.
fn some_event(world: &World, is: impl Fn(NodeIndex, &RequestBody) -> bool) -> bool {
    world
        .events
        .values()
        .any(|event| matches!(event, Event::Request(_, node, request) if is(*node, &request.body)))
}

#[test]
fn a_write_is_read_back_and_a_delete_ends_it() {
    let mut world = World::new(1, 1);
    let created = world.submit(0, "k", put("one"));
    world.run();
    assert!(matches!(world.settled(created), Outcome::Created(_)));
    assert_eq!(text(&world.read(0, "k")), Some("one".into()));
    let deleted = world.submit(0, "k", Task::Change(Operation::new(Change::Delete)));
    world.run();
    assert!(matches!(world.settled(deleted), Outcome::Deleted(_)));
    assert_eq!(text(&world.read(0, "k")), None);
    let again = world.submit(0, "k", Task::Change(Operation::new(Change::Delete)));
    world.run();
    assert_eq!(world.settled(again), Outcome::NotFound);
}

#[test]
fn a_quiet_read_takes_one_trip_and_writes_nothing() {
    let mut world = World::new(2, 1);
    world.submit(0, "k", put("one"));
    world.run();
    let rounds = world.routers[0].stats().rounds;
    world.read(0, "k");
    world.read(0, "never written");
    assert_eq!(world.routers[0].stats().rounds, rounds);
    assert_eq!(world.routers[0].stats().read_fallbacks, 0);
}

#[test]
fn waiting_changes_share_a_round_with_an_etag_each() {
    let mut world = World::new(3, 1);
    let tokens: Vec<Token> = (0..10).map(|n| world.submit(0, "k", put(&n.to_string()))).collect();
    world.run();
    let mut versions = BTreeSet::new();
    for token in &tokens {
        match world.settled(*token) {
            Outcome::Created(version) | Outcome::Replaced(version) => versions.insert(version),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(versions.len(), 10, "each put has a version of its own");
    assert!(world.routers[0].stats().rounds <= 2);
    assert_eq!(text(&world.read(0, "k")), Some("9".into()));
}

#[test]
fn a_read_behind_a_change_waits_for_it_and_costs_no_round_of_its_own() {
    let mut world = World::new(3, 1);
    world.submit(0, "k", put("one"));
    let read = world.submit(0, "k", Task::Read);
    world.run();
    assert!(matches!(world.answer(read), Ok(Answer::State(r)) if text(r) == Some("one".into())));
    assert_eq!(world.routers[0].stats().rounds, 1);
}

#[test]
fn a_stopped_minority_delays_nobody_beyond_the_hedge() {
    for stopped in 0..3 {
        let mut world = World::new(4, 1);
        world.stopped.insert(NodeIndex(stopped));
        let write = world.submit(0, "k", put("one"));
        while !world.answers.contains_key(&write) {
            let next = world.events.first_key_value().map(|((at, _), _)| *at);
            let timer = world.routers[0].next_timer_us();
            if timer.is_some_and(|at| next.is_none_or(|event| at < event)) {
                world.now_us = timer.unwrap();
                let now = world.now(0);
                world.with(0, |coordinator, out| coordinator.tick(now, out));
            } else {
                let ((at, _), event) = world.events.pop_first().unwrap();
                world.now_us = at;
                world.on_event(event);
            }
        }
        assert!(world.now_us < 20_000, "{} us with node {stopped} stopped", world.now_us);
    }
}

#[test]
fn without_a_majority_a_change_that_was_never_sent_is_refused_and_one_that_was_is_unknown() {
    let mut world = World::new(5, 1);
    world.stopped.extend([NodeIndex(0), NodeIndex(1)]);
    let never_sent = world.submit(0, "k", put("one"));
    world.run();
    assert_eq!(*world.answer(never_sent), Err(Failure::NoQuorum));

    let mut world = World::new(6, 1);
    let in_doubt = world.submit(0, "k", put("one"));
    // Let the Prepares through, then stop every node before the Accepts arrive.
    while !world.events.values().any(|e| matches!(e, Event::Request(_, _, r) if r.body.is_durable())) {
        let ((at, _), event) = world.events.pop_first().unwrap();
        world.now_us = at;
        world.on_event(event);
    }
    world.stopped.extend([NodeIndex(0), NodeIndex(1), NodeIndex(2)]);
    world.run();
    assert_eq!(*world.answer(in_doubt), Err(Failure::Unknown));
}

#[test]
fn a_failed_precondition_is_told_after_one_trip_and_changes_nothing() {
    let mut world = World::new(7, 1);
    world.submit(0, "k", put("one"));
    world.run();
    let before = world.read(0, "k");
    let refused = world.submit(0, "k", put_if("two", Condition::Absent));
    world.run();
    assert_eq!(world.settled(refused), Outcome::PreconditionFailed { current: Some(before.version) });
    assert_eq!(world.read(0, "k"), before, "not even the accepted ballot moved");
}

#[test]
fn expiry_is_chosen_before_it_is_told() {
    let mut world = World::new(8, 1);
    let value = Value { bytes: "x".into(), ..Value::default() };
    let ends = START_MS + 1_000;
    world.submit(0, "k", Task::Change(Operation::new(Change::Put { value, expiry: Expiry::At(ends) })));
    world.run();
    assert!(world.read(0, "k").content.is_live());
    world.now_us = 1_000_000;
    let read = world.read(0, "k");
    assert_eq!(read.content, Content::Tombstone);
    let stored = world.nodes.iter().filter(|node| {
        let (_, register) = &node.keys[&Key::new("k").unwrap()];
        register.as_ref().is_some_and(|r| r.content == Content::Tombstone)
    });
    assert!(stored.count() >= 2, "a majority holds the tombstone");
}

#[test]
fn an_eventual_read_asks_one_replica_and_goes_on_when_it_is_lost() {
    let mut world = World::new(9, 1);
    world.submit(0, "k", put("one"));
    world.run();
    world.stopped.insert(NodeIndex(0));
    let token = world.submit(0, "k", Task::ReadEventual);
    world.run();
    assert!(matches!(world.answer(token), Ok(Answer::State(r)) if text(r) == Some("one".into())));
}

#[test]
fn a_slow_and_a_fast_clock_both_get_their_turn() {
    for skew in [-3_000_i64, 3_000, 5_200, 3_600_000] {
        let mut world = World::new(10, 2);
        world.router_skew_ms[1] = skew;
        let mut done = [0, 0];
        for _ in 0..50 {
            let tokens = [world.submit(0, "k", increment(None)), world.submit(1, "k", increment(None))];
            world.run();
            for (router, token) in tokens.into_iter().enumerate() {
                done[router] += usize::from(world.answer(token).is_ok());
            }
        }
        assert_eq!(done, [50, 50], "skew {skew}");
        assert_eq!(text(&world.read(0, "k")), Some("100".into()));
    }
}

#[test]
fn a_repeat_with_the_same_key_changes_nothing_again_through_any_router() {
    let mut world = World::new(11, 2);
    for number in 0..20_u64 {
        let key =
            ClientKey { id: OpId(u128::from(number)), birth: Hlc::from_millis(START_MS), fingerprint: 1 };
        let first = world.submit(0, "k", increment(Some(key)));
        let second = world.submit(1, "k", increment(Some(key)));
        let third = world.submit(0, "k", increment(Some(key)));
        world.run();
        assert_eq!(world.settled(first), world.settled(second));
        assert_eq!(world.settled(first), world.settled(third));
        let other = ClientKey { fingerprint: 2, ..key };
        let reused = world.submit(1, "k", increment(Some(other)));
        world.run();
        assert_eq!(*world.answer(reused), Ok(Answer::KeyReused));
    }
    assert_eq!(text(&world.read(1, "k")), Some("20".into()));
}

/// What increments may leave behind: every answered value once, versions in the order of values, and a final
/// count between the sure ones and the sure and the unknown ones; `unknown` are known to be so already.
fn judge_increments(world: &mut World, tokens: &[Token], key: &str, mut unknown: usize) {
    let mut sure = BTreeMap::<i64, Version>::new();
    for token in tokens {
        match world.answer(*token) {
            Ok(Answer::Settled(Outcome::Incremented { version, value })) => {
                assert!(sure.insert(*value, *version).is_none(), "value {value} was given twice");
            }
            Err(Failure::Unknown) => unknown += 1,
            Err(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let versions: Vec<Version> = sure.values().copied().collect();
    assert!(versions.is_sorted(), "a higher count has a higher version");
    let last = world.read(0, key);
    let count: usize = text(&last).map_or(0, |t| t.parse().unwrap());
    assert!((sure.len()..=sure.len() + unknown).contains(&count), "{count} of {} + {unknown}", sure.len());
}

#[test]
fn increments_through_racing_routers_and_a_lossy_network_apply_exactly_once() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut world = World::new(seed, 3);
        world.loss_percent = seed % 4 * 6;
        world.delay_us_max = 1 + world.rng.up_to(20_000);
        world.router_skew_ms = vec![0, 2_000, -1_500];
        let mut tokens = Vec::new();
        for _ in 0..8 {
            for router in 0..3 {
                for _ in 0..world.rng.up_to(3) {
                    tokens.push(world.submit(router, "k", increment(None)));
                }
            }
            if world.rng.up_to(2) == 0 {
                world.run();
            }
        }
        world.run();
        world.loss_percent = 0;
        judge_increments(&mut world, &tokens, "k", 0);
        assert!(world.routers.iter().all(|router| router.in_flight() == 0));
        assert!(world.routers.iter().all(|router| router.entries.is_empty() && router.requests.len() == 0));
    }
}
