//! All orders of events for three nodes, and random ones with lost disks and late answers.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::world::*;
use crate::bootstrap::Status;

#[derive(Debug, Clone)]
enum Event {
    Tick(usize),
    Answer(usize, usize),
    Deliver(usize, usize),
    Exchange(usize, usize),
    Sync(usize),
    Restart { node: usize, written: bool },
    Wipe(usize),
    OtherFile(usize),
}

fn apply(world: &mut World, event: &Event) {
    match *event {
        Event::Tick(node) => drop(world.tick(node)),
        Event::Answer(asker, of) => world.answer(asker, &id(of + 1)),
        Event::Deliver(asker, of) => world.deliver(asker, &id(of + 1)),
        Event::Exchange(asker, of) => world.exchange(asker, &id(of + 1)),
        Event::Sync(node) => world.sync(node),
        Event::Restart { node, written } => world.restart(node, written),
        Event::Wipe(node) => world.wipe(node),
        Event::OtherFile(node) => {
            world.nodes[node].file.partitions += 1;
            world.restart(node, false);
        }
    }
}

/// Every order in which three nodes can hear each other and write, with one crash at any moment: the invariants
/// hold in each state, and from each the cluster comes up.
#[test]
fn founding_in_every_order_with_a_crash_anywhere_ends_in_one_cluster() {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([(World::new(3), 1)]);
    while let Some((world, crashes_left)) = queue.pop_front() {
        if !seen.insert(hasher.hash_one((&world, crashes_left))) {
            continue;
        }
        world.check().unwrap();
        let mut end = world.clone();
        end.settle();
        assert!(end.all_adopted() && end.check().is_ok(), "{:?}", end.nodes);
        for node in 0..3 {
            let mut events = vec![Event::Sync(node)];
            events.extend((0..3).filter(|of| *of != node).map(|of| Event::Exchange(node, of)));
            let restarts = [true, false].map(|written| Event::Restart { node, written });
            events.extend(restarts.into_iter().filter(|_| crashes_left > 0));
            for event in events {
                let mut next = world.clone();
                apply(&mut next, &event);
                let left = crashes_left - u32::from(matches!(event, Event::Restart { .. }));
                if next != world {
                    queue.push_back((next, left));
                }
            }
        }
    }
    assert!(seen.len() > 1_000, "only {} states", seen.len());
}

fn event() -> impl Strategy<Value = Event> {
    let (node, other) = (|| 0usize..3, || 0usize..3);
    prop_oneof![
        4 => node().prop_map(Event::Tick),
        6 => (node(), other()).prop_map(|(asker, of)| Event::Answer(asker, of)),
        6 => (node(), other()).prop_map(|(asker, of)| Event::Deliver(asker, of)),
        6 => (node(), other()).prop_map(|(asker, of)| Event::Exchange(asker, of)),
        6 => node().prop_map(Event::Sync),
        2 => (node(), any::<bool>()).prop_map(|(node, written)| Event::Restart { node, written }),
        1 => node().prop_map(Event::Wipe),
        1 => node().prop_map(Event::OtherFile),
    ]
}

fn run(events: &[Event], hasty: bool) -> Result<World, String> {
    let mut world = World::new(3);
    world.hasty = hasty;
    for event in events {
        apply(&mut world, event);
        world.check()?;
    }
    Ok(world)
}

proptest! {
    #![proptest_config(Config { cases: 1_000, failure_persistence: None, ..Config::default() })]

    /// Lost directories, late answers, crashes, changed files: at most one cluster, founded by all of its disks.
    #[test]
    fn founding_under_faults_never_gives_two_clusters(events in prop::collection::vec(event(), 1..80)) {
        let world = run(&events, false);
        prop_assert!(world.is_ok(), "{world:?}");
        let mut world = world.unwrap();
        world.flying.clear();
        for (asker, of) in (0..3).flat_map(|asker| (0..3).map(move |of| (asker, of))) {
            world.deliver(asker, &id(of + 1)); // no question stays without an answer for ever
        }
        world.settle();
        prop_assert!(world.check().is_ok());
        // As long as anybody knows the cluster that was founded, those that it knows get in, and nobody else.
        let founded = world.nodes.iter().find_map(|node| node.disk.adopted.clone());
        for node in world.nodes.iter().filter(|_| founded.is_some()) {
            let known = founded.as_ref().and_then(|adopted| adopted.storage.get(&node.id)) == Some(&node.storage);
            let status = node.boot.status();
            prop_assert_eq!(known, matches!(status, Status::Adopted(_)), "{}", status);
        }
    }
}

#[test]
fn founding_by_nodes_that_tell_before_they_have_written_is_caught() {
    let config = Config { cases: 5_000, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&prop::collection::vec(event(), 1..80), |events| {
        match catch_unwind(AssertUnwindSafe(|| run(&events, true))) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(broken)) => Err(TestCaseError::fail(broken)),
            Err(_) => Err(TestCaseError::fail("an assertion")),
        }
    });
    assert!(matches!(outcome, Err(TestError::Fail(..))));
}
