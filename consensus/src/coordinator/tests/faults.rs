//! Nodes that freeze, stop, come back, run full: nobody waits longer than it takes to do without them.

use super::*;
use crate::coordinator::CoordinatorConfig;

/// After this time rounds begin at their Prepare again.
const HEAD_STARTS_OVER_US: u64 = 1_000 * (crate::HeadStart::AGE_MS_MAX + 1);

const A: NodeIndex = NodeIndex(0);
const B: NodeIndex = NodeIndex(1);
const C: NodeIndex = NodeIndex(2);

#[test]
fn routers_that_race_while_a_node_is_frozen_all_get_through() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        world.frozen.insert(C);
        world.health(C, Reach::Doubtful);
        let tokens: Vec<Token> = (0..30).map(|n| world.submit(n % 3, "k", increment(None))).collect();
        world.run();
        let ends: Vec<_> = tokens.iter().map(|token| world.answer(*token).is_ok()).collect();
        assert!(ends.iter().all(|ok| *ok), "seed {seed}: {ends:?}");
        assert!(world.now_us < 2_000_000, "seed {seed}: {} us", world.now_us);
    }
}

#[test]
fn write_goes_through_when_a_suspect_comes_back_and_another_node_freezes() {
    let mut world = World::new(1, 1);
    world.health(C, Reach::Doubtful);
    let write = world.submit(0, "k", put("one"));
    world.run_until(|world| some_event(world, |_, body| body.is_durable()));
    assert!(!some_event(&world, |node, _| node == C), "C was passed over");
    world.frozen.insert(B);
    world.health(C, Reach::Usable);
    world.run_until(|world| world.answers.contains_key(&write));
    assert!(world.answer(write).is_ok());
    assert!(world.now_us < 50_000, "{} us", world.now_us);
}

#[test]
fn write_and_read_go_through_when_one_node_freezes_and_another_loses_a_message() {
    for task in [put("one"), Task::Read] {
        let mut world = World::new(1, 1);
        world.frozen.insert(C);
        world.stopped.insert(B);
        let token = world.submit(0, "k", task.clone());
        world.run_until(|world| world.now_us >= 1_000_000);
        assert!(world.answers.is_empty(), "A alone is no majority");
        world.stopped.clear();
        world.health(B, Reach::Usable);
        world.health(C, Reach::Doubtful);
        world.run_until(|world| world.answers.contains_key(&token));
        assert!(world.answer(token).is_ok(), "{task:?}");
        assert!(world.now_us < 2_200_000, "{} us", world.now_us);
    }
}

#[test]
fn without_a_majority_nothing_waits_beyond_the_patience() {
    let patience_us = CoordinatorConfig::default().patience_us;
    for task in [put("one"), Task::Read, increment(None)] {
        let mut world = World::new(1, 1);
        world.frozen.extend([B, C]);
        world.health(B, Reach::Doubtful);
        world.health(C, Reach::Doubtful);
        let first = world.submit(0, "k", task.clone());
        let second = world.submit(0, "k", task);
        world.run();
        assert_eq!(*world.answer(first), Err(Failure::NoQuorum));
        assert_eq!(*world.answer(second), Err(Failure::NoQuorum));
        assert!(world.now_us < patience_us + 200_000, "{} us", world.now_us);
        assert!(world.routers[0].entries.is_empty());
    }
}

/// A world in which "k" has a head start, and the nodes' time to be found out has passed since they were lost.
fn world_without(lost: &[NodeIndex]) -> World {
    let mut world = World::new(1, 1);
    for text in ["one", "two"] {
        world.submit(0, "k", put(text));
        world.run();
    }
    assert_eq!(world.routers[0].stats().one_trip_rounds, 1);
    world.frozen.extend(lost);
    lost.iter().for_each(|node| world.health(*node, Reach::Unreachable));
    world.now_us += CoordinatorConfig::default().confirmation_us;
    world
}

#[test]
fn majority_known_to_be_unreachable_refuses_everything_at_once_and_nothing_is_sent() {
    let keyed = ClientKey { id: OpId(1), birth: Hlc::from_millis(START_MS), fingerprint: 1 };
    let touch = Change::Touch { expiry: Expiry::Never };
    for key in ["k", "another"] {
        for task in [
            put("lost"),
            put_if("lost", Condition::Exists),
            increment(None),
            increment(Some(keyed)),
            Task::Change(Operation::new(Change::Delete)),
            Task::Change(Operation::new(touch.clone())),
            Task::Read,
        ] {
            let mut world = world_without(&[B, C]);
            let token = world.submit(0, key, task.clone());
            assert_eq!(*world.answer(token), Err(Failure::NoQuorum), "{key}: {task:?}");
            assert!(world.events.is_empty() && world.routers[0].entries.is_empty());
            let eventual = world.submit(0, key, Task::ReadEventual);
            world.run();
            assert!(world.answer(eventual).is_ok(), "A answers it");
        }
    }
    let mut world = world_without(&[A, B, C]);
    let eventual = world.submit(0, "k", Task::ReadEventual);
    assert_eq!(*world.answer(eventual), Err(Failure::NoQuorum));
}

#[test]
fn write_with_a_head_start_is_not_put_in_doubt_where_no_majority_is_counted_on() {
    let mut world = World::new(1, 1);
    for text in ["one", "two"] {
        world.submit(0, "k", put(text));
        world.run();
    }
    world.frozen.extend([B, C]);
    world.health(B, Reach::Doubtful);
    world.health(C, Reach::Doubtful);
    let begun_us = world.now_us;
    let refused = world.submit(0, "k", put("three"));
    assert!(!some_event(&world, |_, body| body.is_durable()), "no Accept is sent");
    world.run();
    assert_eq!(*world.answer(refused), Err(Failure::NoQuorum));
    assert!(world.now_us - begun_us < CoordinatorConfig::default().patience_us + 200_000);
    // Nodes that are only slow still make a majority.
    world.frozen.clear();
    let slow = world.submit(0, "k", put("four"));
    world.run();
    assert!(matches!(world.settled(slow), Outcome::Replaced(_)));
}

#[test]
fn what_waits_for_a_majority_is_refused_soon_after_it_is_lost_and_served_if_it_answers_before() {
    for answers in [false, true] {
        for task in [put("one"), Task::Read] {
            let mut world = World::new(1, 1);
            if !answers {
                world.frozen.extend([B, C]);
            }
            let waiting = world.submit(0, "k", task.clone());
            world.health(B, Reach::Unreachable);
            world.health(C, Reach::Unreachable);
            world.run_until(|world| world.answers.contains_key(&waiting));
            match answers {
                true => assert!(world.answer(waiting).is_ok(), "{task:?}"),
                false => assert_eq!(*world.answer(waiting), Err(Failure::NoQuorum), "{task:?}"),
            }
            assert!(world.now_us < 400_000, "{task:?}: {} us", world.now_us);
        }
    }
}

#[test]
fn operation_beside_one_in_doubt_is_refused_when_the_majority_is_lost() {
    // The round's Accepts wait at nodes that are gone; its proposal refuses the operation, so that is not in doubt.
    let mut world = World::new(1, 1);
    world.submit(0, "k", put("one"));
    world.run();
    let write = world.submit(0, "k", put("two"));
    let beside = world.submit(0, "k", put_if("never", Condition::Matches(vec![Version::ZERO])));
    world.run_until(|world| some_event(world, |_, body| body.is_durable()));
    world.frozen.extend([A, B, C]);
    let begun_us = world.now_us;
    [A, B, C].into_iter().for_each(|node| world.health(node, Reach::Unreachable));
    world.run_until(|world| world.answers.contains_key(&beside));
    assert_eq!(*world.answer(beside), Err(Failure::NoQuorum));
    assert!(world.now_us - begun_us < 400_000, "{} us", world.now_us - begun_us);
    world.run();
    assert_eq!(*world.answer(write), Err(Failure::Unknown));
}

#[test]
fn eventual_read_ends_when_the_last_replica_that_it_waits_for_is_given_up() {
    let mut world = World::new(1, 1);
    world.frozen.extend([A, B, C]);
    let token = world.submit(0, "k", Task::ReadEventual);
    world.health(B, Reach::Unreachable);
    world.health(A, Reach::Doubtful);
    assert!(world.answers.is_empty(), "A may answer late, C was asked");
    world.health(C, Reach::Unreachable);
    assert!(world.answers.is_empty());
    world.health(A, Reach::Unreachable);
    assert_eq!(*world.answer(token), Err(Failure::NoQuorum));
}

#[test]
fn eventual_read_does_not_wait_for_a_frozen_node() {
    let mut world = World::new(1, 1);
    world.submit(0, "k", put("one"));
    world.run();
    world.frozen.insert(A);
    let token = world.submit(0, "k", Task::ReadEventual);
    world.health(A, Reach::Doubtful);
    world.run_until(|world| world.answers.contains_key(&token));
    assert!(matches!(world.answer(token), Ok(Answer::State(r)) if text(r) == Some("one".into())));
    assert!(world.now_us < 100_000);
}

#[test]
fn eventual_read_takes_a_late_answer_when_the_others_are_gone() {
    let mut world = World::new(1, 1);
    world.delay_us_max = 2_000_000;
    world.stopped.extend([B, C]);
    let token = world.submit(0, "k", Task::ReadEventual);
    world.health(A, Reach::Doubtful);
    world.run();
    assert!(matches!(world.answer(token), Ok(Answer::State(_))), "A answered after B and C were lost");
}

#[test]
fn one_full_disk_refuses_nothing_while_the_others_have_room() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        world.nodes[2].disk_low = true;
        let tokens: Vec<Token> = (0..30).map(|n| world.submit(n % 3, "k", increment(None))).collect();
        world.run();
        assert!(tokens.iter().all(|token| world.answer(*token).is_ok()), "seed {seed}");
    }
}

#[test]
fn full_disks_of_a_majority_refuse_what_grows_and_let_the_rest_through() {
    let mut world = World::new(1, 1);
    world.submit(0, "k", put("one"));
    world.run();
    // A round that began at its Accept would not ask for room.
    let begun_us = world.now_us + HEAD_STARTS_OVER_US;
    world.now_us = begun_us;
    world.nodes[0].disk_low = true;
    world.stopped.insert(C);
    world.health(C, Reach::Doubtful);
    let refused = world.submit(0, "k", put("two"));
    let deleted = world.submit(0, "k", Task::Change(Operation::new(Change::Delete)));
    let late = world.submit(0, "k", put("three"));
    world.run_until(|world| world.answers.len() == 4);
    assert_eq!(*world.answer(refused), Err(Failure::DiskReserve), "one is full, one is gone");
    assert!(matches!(world.settled(deleted), Outcome::Deleted(_)));
    assert_eq!(*world.answer(late), Err(Failure::DiskReserve));
    assert!(world.now_us - begun_us < 100_000, "told at once: {} us", world.now_us - begun_us);
}

#[test]
fn operation_from_the_future_is_refused_alone() {
    // It was judged by a router clock that was wrong itself. No node takes its ballot for an hour.
    let mut world = World::new(1, 1);
    let key = ClientKey { id: OpId(1), birth: Hlc::from_millis(START_MS + 3_600_000), fingerprint: 1 };
    let future = world.submit(0, "k", increment(Some(key)));
    let beside = world.submit(0, "k", increment(None));
    world.run_until(|world| world.answers.len() == 2);
    assert_eq!(*world.answer(future), Err(Failure::ClockSkew));
    assert!(world.answer(beside).is_ok());
    assert!(world.now_us < 200_000, "{} us", world.now_us);
}

#[test]
fn operation_that_was_only_refused_by_lost_proposals_is_not_called_unknown() {
    let mut world = World::new(1, 1);
    world.submit(0, "k", put("one"));
    world.run();
    world.now_us += HEAD_STARTS_OVER_US;
    // The put beside it sends the round on to phase two; then every node stops.
    let write = world.submit(0, "k", put("two"));
    world.run_until(|world| some_event(world, |_, body| matches!(body, crate::RequestBody::Prepare { .. })));
    let refused = world.submit(0, "k", put_if("never", Condition::Matches(vec![Version::ZERO])));
    world.run_until(|world| some_event(world, |_, body| body.is_durable()));
    world.stopped.extend([A, B, C]);
    world.run();
    assert_eq!(*world.answer(write), Err(Failure::Unknown));
    assert_eq!(*world.answer(refused), Err(Failure::NoQuorum));
}

#[test]
fn operation_that_the_round_under_way_refuses_is_not_called_unknown() {
    // The Accepts wait at frozen nodes until the time is over.
    let mut world = World::new(1, 1);
    world.submit(0, "k", put("one"));
    world.run();
    let refused = put_if("never", Condition::Matches(vec![Version::ZERO]));
    let write = world.submit(0, "k", put("two"));
    let beside = world.submit(0, "k", refused);
    world.run_until(|world| some_event(world, |_, body| body.is_durable()));
    world.frozen.extend([A, B, C]);
    world.run();
    assert_eq!(*world.answer(write), Err(Failure::Unknown));
    assert_eq!(*world.answer(beside), Err(Failure::NoQuorum));
}

#[test]
fn change_in_doubt_whose_nodes_have_no_room_any_more_is_settled() {
    for reached in [None, Some(A)] {
        let mut world = World::new(1, 1);
        let write = world.submit(0, "k", put("one"));
        world.run_until(|world| some_event(world, |_, body| body.is_durable()));
        world.stopped.extend([A, B, C].into_iter().filter(|node| Some(*node) != reached));
        world.run_until(|world| !some_event(world, |_, body| body.is_durable()));
        world.stopped.clear();
        world.nodes.iter_mut().for_each(|node| node.disk_low = true);
        let begun_us = world.now_us;
        world.run_until(|world| world.answers.len() == 1);
        match reached {
            Some(_) => assert!(matches!(world.settled(write), Outcome::Created(_))),
            None => assert_eq!(*world.answer(write), Ok(Answer::NoRoom)),
        }
        assert!(world.now_us - begun_us < 1_500_000, "{} us", world.now_us - begun_us);
        world.nodes.iter_mut().for_each(|node| node.disk_low = false);
        assert_eq!(text(&world.read(0, "k")), reached.map(|_| "one".to_owned()), "and so it stays");
    }
}

#[test]
fn change_that_one_node_holds_and_the_others_have_no_room_for_is_not_written_again_and_again() {
    let mut world = World::new(1, 1);
    let write = world.submit(0, "k", put("one"));
    world.run_until(|world| some_event(world, |_, body| body.is_durable()));
    world.stopped.extend([B, C]);
    world.run_until(|world| !some_event(world, |_, body| body.is_durable()));
    world.stopped.clear();
    world.nodes.iter_mut().for_each(|node| node.disk_low = true);
    world.nodes.iter_mut().skip(1).for_each(|node| node.disk_critical = true);
    world.run();
    assert_eq!(*world.answer(write), Err(Failure::Unknown));
    assert!(world.nodes[0].stored <= 8, "{} times in five seconds", world.nodes[0].stored);
}

#[test]
fn change_that_was_sent_is_never_called_refused_whatever_refuses_it_later() {
    // Its Accepts are lost; the clocks disagree, or nobody is left when it is tried again.
    type Trouble = fn(&mut World);
    let troubles: [(&str, Trouble); 2] = [
        ("clocks", |world| world.nodes.iter_mut().for_each(|node| node.skew = -3_600_000)),
        ("nobody", |world| {
            for node in [A, B, C] {
                world.stopped.insert(node);
                world.health(node, Reach::Doubtful);
            }
        }),
    ];
    for (what, trouble) in troubles {
        let mut world = World::new(1, 1);
        let write = world.submit(0, "k", put("one"));
        world.run_until(|world| some_event(world, |_, body| body.is_durable()));
        world.stopped.extend([A, B, C]);
        world.run_until(|world| world.events.is_empty() || !some_event(world, |_, body| body.is_durable()));
        world.stopped.clear();
        trouble(&mut world);
        world.run();
        assert_eq!(*world.answer(write), Err(Failure::Unknown), "{what}");
    }
}
