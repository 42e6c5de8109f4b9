//! What a coordinator holds at most, and that it lets go of everything.

use std::sync::Arc;

use super::*;
use crate::ballot::Ballot;
use crate::coordinator::{Coordinator, CoordinatorConfig, Effects, Now, Submit};
use crate::ids::PartitionId;
use crate::message::{Reply, ReplyBody, RequestBody};
use crate::quorum::ReplicaSet;

const NOW: Now = Now { wall_ms: START_MS, mono_us: 0 };

fn submit(coordinator: &mut Coordinator, token: u64, key: &str, task: Task) -> Effects {
    let mut out = Effects::default();
    submit_to(coordinator, token, key, 0..3, task, &mut out);
    out
}

fn submit_to(
    coordinator: &mut Coordinator,
    token: u64,
    key: &str,
    nodes: std::ops::Range<u16>,
    task: Task,
    out: &mut Effects,
) {
    let submit = Submit {
        token: Token(token),
        key: Key::new(key.to_owned()).unwrap(),
        partition: PartitionId(0),
        replicas: Arc::new(ReplicaSet::single(nodes.map(NodeIndex).collect())),
        task,
        deadline_us: 5_000_000,
    };
    coordinator.submit(NOW, submit, out);
}

/// Every Prepare that was sent finds an absent key and is promised.
fn promise_all(coordinator: &mut Coordinator, out: &mut Effects) {
    for (node, request) in out.sends.split_off(0) {
        let body = ReplyBody::Promised(Register::absent(Ballot::ZERO));
        coordinator.on_reply(NOW, node, START_MS, Reply { id: request.id, done: true, body }, out);
    }
}

#[test]
fn requests_beyond_a_limit_are_refused_and_hold_nothing() {
    let table = [
        (CoordinatorConfig { operations_max: 2, ..CoordinatorConfig::default() }, "beyond the requests"),
        (CoordinatorConfig { queued_bytes_max: 2 * 101, ..CoordinatorConfig::default() }, "beyond the bytes"),
        (
            CoordinatorConfig {
                queue_per_key_max: 0,
                slots_per_round_max: 2,
                ..CoordinatorConfig::default()
            },
            "beyond the queue",
        ),
    ];
    for (config, limit) in table {
        let mut coordinator = Coordinator::new(
            CoordinatorConfig { queue_per_key_max: config.queue_per_key_max.max(1), ..config },
            1,
        );
        let value = "v".repeat(100);
        for token in [1, 2] {
            assert!(submit(&mut coordinator, token, "k", put(&value)).answers.is_empty());
        }
        let mut refused = submit(&mut coordinator, 3, "k", put(&value)).answers;
        if limit == "beyond the queue" {
            assert!(refused.is_empty(), "one waits");
            refused = submit(&mut coordinator, 4, "k", put(&value)).answers;
        }
        assert!(matches!(refused[..], [(_, Err(Failure::Overloaded))]), "{limit}");
        let mut out = Effects::default();
        coordinator.tick(Now { mono_us: 5_000_000, ..NOW }, &mut out);
        assert_eq!((coordinator.in_flight(), coordinator.held_bytes), (0, 0), "{limit}");
        assert!(coordinator.entries.is_empty() && coordinator.timers.is_empty(), "{limit}");
    }
}

#[test]
fn reads_hold_no_bytes_of_values() {
    let config = CoordinatorConfig { queued_bytes_max: 10, ..CoordinatorConfig::default() };
    let mut coordinator = Coordinator::new(config, 1);
    for token in 0..10 {
        assert!(submit(&mut coordinator, token, "k", Task::Read).answers.is_empty());
    }
    assert_eq!(submit(&mut coordinator, 10, "k", Task::Read).answers.len(), 1);
}

#[test]
fn later_round_uses_the_replicas_that_the_last_request_named() {
    let mut coordinator = Coordinator::new(CoordinatorConfig::default(), 1);
    submit(&mut coordinator, 1, "k", put("one"));
    let mut out = Effects::default();
    submit_to(&mut coordinator, 2, "k", 3..6, increment(None), &mut out);
    assert!(out.sends.is_empty(), "waits for the round under way");
    coordinator.on_lost(NOW, NodeIndex(0), 1, &mut out);
    coordinator.on_lost(NOW, NodeIndex(1), 2, &mut out);
    coordinator.tick(Now { mono_us: 100_000, ..NOW }, &mut out);
    assert!(out.sends.iter().any(|(node, _)| node.0 >= 3), "{:?}", out.sends);
}

#[test]
fn what_the_old_replicas_promised_does_not_count_for_the_new_ones() {
    let mut coordinator = Coordinator::new(CoordinatorConfig::default(), 1);
    let mut out = submit(&mut coordinator, 1, "k", put("one"));
    promise_all(&mut coordinator, &mut out);
    let accepts = out.sends.split_off(0);
    submit_to(&mut coordinator, 2, "k", 3..6, put("two"), &mut out);
    for (node, request) in accepts {
        assert!(matches!(request.body, RequestBody::Accept { next: Some(_), .. }));
        let body = ReplyBody::Accepted { next_promised: true };
        coordinator.on_reply(NOW, node, START_MS, Reply { id: request.id, done: true, body }, &mut out);
    }
    assert!(!out.sends.is_empty());
    for (node, request) in &out.sends {
        assert!(node.0 >= 3 && matches!(request.body, RequestBody::Prepare { .. }), "{request:?}");
    }
}

#[test]
fn accepts_that_wait_for_a_sync_cost_no_timers() {
    let mut coordinator = Coordinator::new(CoordinatorConfig::default(), 1);
    let mut out = submit(&mut coordinator, 1, "k", put("one"));
    promise_all(&mut coordinator, &mut out);
    assert!(out.sends.iter().all(|(_, request)| request.body.is_durable()));
    assert_eq!(coordinator.next_timer_us(), Some(5_000_000), "the deadline");
    submit(&mut coordinator, 2, "k", put("two"));
    let patience_us = CoordinatorConfig::default().patience_us;
    assert_eq!(coordinator.next_timer_us(), Some(patience_us), "that of the one behind");
}

#[test]
#[should_panic(expected = "the bounds of the time between hedges cross")]
fn bounds_that_cross_are_a_programmer_fault() {
    let config = CoordinatorConfig { hedge_us_min: 2, hedge_us_max: 1, ..CoordinatorConfig::default() };
    let _ = Coordinator::new(config, 1);
}
