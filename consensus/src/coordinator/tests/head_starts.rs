//! Keys that one router keeps writing.

use super::*;

fn prepares(world: &World) -> usize {
    let is_prepare = |event: &Event| matches!(event, Event::Request(_, _, request) if matches!(request.body, RequestBody::Prepare { .. }));
    world.events.values().filter(|event| is_prepare(event)).count()
}

#[test]
fn a_key_that_one_router_keeps_writing_takes_one_trip_a_write() {
    let mut world = World::new(21, 1);
    let mut last = None;
    for number in 0..10 {
        let token = world.submit(0, "k", put(&number.to_string()));
        assert_eq!(prepares(&world) == 0, number >= 1, "write {number}");
        world.run();
        let (Outcome::Created(version) | Outcome::Replaced(version)) = world.settled(token) else {
            panic!("{:?}", world.answer(token))
        };
        assert!(last < Some(version), "versions strictly increase");
        last = Some(version);
    }
    assert_eq!(world.routers[0].stats().one_trip_rounds, 9);
    assert_eq!(text(&world.read(0, "k")), Some("9".into()));
    assert_eq!(world.routers[0].stats().read_fallbacks, 0);
}

#[test]
fn a_key_written_twice_a_second_keeps_its_one_trip_and_its_ballots_go_with_the_time() {
    let mut world = World::new(24, 1);
    let mut before_ms = 0;
    for number in 0..20 {
        world.now_us += 600_000;
        let begun_ms = START_MS + world.now_us / 1_000;
        let token = world.submit(0, "k", put(&number.to_string()));
        world.run();
        let (Outcome::Created(version) | Outcome::Replaced(version)) = world.settled(token) else {
            panic!("{:?}", world.answer(token))
        };
        let ms = version.ballot.hlc.millis();
        assert!((before_ms..=begun_ms).contains(&ms), "write {number}: not older than the write before");
        before_ms = begun_ms;
    }
    assert_eq!(world.routers[0].stats().one_trip_rounds, 19);
}

#[test]
fn a_write_after_a_pause_takes_the_ordinary_way_at_the_present_time() {
    let mut world = World::new(22, 1);
    for number in 0..3 {
        world.submit(0, "k", put(&number.to_string()));
        world.run();
    }
    world.now_us = 32_000_000;
    let token = world.submit(0, "k", put("late"));
    assert_eq!(prepares(&world), 2);
    world.run();
    let Outcome::Replaced(version) = world.settled(token) else { panic!("{:?}", world.answer(token)) };
    assert_eq!(version.ballot.hlc.millis(), START_MS + 32_000);
}

#[test]
fn a_value_that_has_ended_is_not_built_on_in_one_trip() {
    let mut world = World::new(23, 1);
    for _ in 0..3 {
        let value = Value { bytes: "x".into(), ..Value::default() };
        let ends = Expiry::At(START_MS + world.now_us / 1_000 + 100);
        world.submit(0, "k", Task::Change(Operation::new(Change::Put { value, expiry: ends })));
        world.run();
    }
    world.now_us += 200_000;
    let token = world.submit(0, "k", put_if("next", Condition::Absent));
    world.run();
    assert!(matches!(world.settled(token), Outcome::Created(_)), "{:?}", world.answer(token));
}

#[test]
fn another_router_in_between_is_built_on_and_never_overwritten_unseen() {
    for seed in 0..40 {
        let mut world = World::new(seed, 2);
        let mut tokens = Vec::new();
        for step in 0..30_usize {
            let router = usize::from(step % 5 == 4);
            tokens.push(world.submit(router, "k", increment(None)));
            if world.rng.up_to(3) > 0 {
                world.run();
            }
        }
        world.run();
        assert!(world.routers[0].stats().one_trip_rounds > 0, "seed {seed}");
        judge_increments(&mut world, &tokens, "k", 0);
        assert_eq!(text(&world.read(1, "k")), Some("30".into()), "seed {seed}");
    }
}

#[test]
fn a_lost_answer_to_a_one_trip_write_is_settled_by_the_history() {
    for seed in 0..60 {
        let mut world = World::new(seed, 1);
        let mut tokens = Vec::new();
        for _ in 0..20 {
            tokens.push(world.submit(0, "k", increment(None)));
            world.run();
            world.loss_percent = 15;
        }
        world.loss_percent = 0;
        judge_increments(&mut world, &tokens, "k", 0);
    }
}

#[test]
fn a_key_that_was_just_created_is_changed_in_one_trip_and_loaded_keys_ask_for_nothing_any_more() {
    let asked = |world: &mut World, name: String| {
        world.submit(0, &name, put("v"));
        world.run_until(|world| some_event(world, |_, body| body.is_durable()));
        let asked = some_event(world, |_, body| matches!(body, RequestBody::Accept { next: Some(_), .. }));
        world.run();
        asked
    };
    let mut world = World::new(25, 1);
    assert!(asked(&mut world, "session".to_owned()));
    world.submit(0, "session", put("changed"));
    assert_eq!(prepares(&world), 0);
    world.run();
    // Ten keys in three seconds, none of which is written again: it shows after thirty.
    let mut asked_of = |count: usize| {
        let load = |number| {
            world.now_us += 300_000;
            asked(&mut world, format!("row {number} of {count}"))
        };
        (0..count).map(load).filter(|asked| *asked).count()
    };
    assert_eq!(asked_of(100), 100);
    assert!(asked_of(101) > 80);
    assert_eq!(asked_of(160), 10, "one in sixteen is tried all the same");
}
