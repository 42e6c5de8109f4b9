//! Coordinators against plain acceptors in one seeded world: a network that delays, reorders and loses, routers
//! that race, nodes that stop. What clients saw is judged at the end.

use super::*;
use crate::ballot::Version;
use crate::ids::OpId;
use crate::operation::{ClientKey, Condition, Expiry, Outcome};
use crate::register::{Content, Value};

/// An acceptor by the book, without disk: what the rules of the paper say and nothing else.
#[derive(Default)]
struct Acceptor {
    keys: BTreeMap<Key, (Ballot, Option<Register>)>,
    skew: i64,
}

impl Acceptor {
    fn handle(&mut self, now_ms: u64, request: Request) -> Reply {
        let clock_ms = now_ms.saturating_add_signed(self.skew);
        let (promise, stored) = self.keys.entry(request.key).or_default();
        let register = stored.clone().unwrap_or_else(|| Register::absent(Ballot::ZERO));
        let show = |want: bool| if want { register.clone() } else { register.without_value() };
        let limit_ms = clock_ms + 5_000;
        let body = match request.body {
            RequestBody::Prepare { ballot, .. } if ballot.hlc.millis() > limit_ms => {
                ReplyBody::Rejected(crate::Rejection::ClockSkew { limit_ms })
            }
            RequestBody::Prepare { ballot, want_value, .. } => {
                let held = register.accepted.max(*promise);
                if ballot > held {
                    *promise = ballot;
                    ReplyBody::Promised(show(want_value))
                } else {
                    ReplyBody::Rejected(crate::Rejection::Outbid(held))
                }
            }
            RequestBody::Accept { register: new, .. } => {
                assert!(!matches!(new.content, Content::Withheld { .. }));
                let held = register.accepted.max(*promise);
                if new.accepted >= held {
                    assert!(new.accepted > register.accepted || new == register, "one ballot, one register");
                    *stored = Some(new);
                    ReplyBody::Accepted { next_promised: false }
                } else {
                    ReplyBody::Rejected(crate::Rejection::Outbid(held))
                }
            }
            RequestBody::Read { want_value } => ReplyBody::State(show(want_value)),
            RequestBody::Fetch { accepted } => {
                ReplyBody::Fetched((register.accepted == accepted).then_some(register))
            }
        };
        Reply { id: request.id, done: true, body }
    }
}

enum Event {
    Request(usize, NodeIndex, Request),
    Reply(usize, NodeIndex, Reply),
    Lost(usize, NodeIndex, u64),
}

struct World {
    rng: Rng,
    now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    serial: u64,
    nodes: Vec<Acceptor>,
    stopped: BTreeSet<NodeIndex>,
    routers: Vec<Coordinator>,
    router_skew_ms: Vec<i64>,
    answers: BTreeMap<Token, Result<Answer, Failure>>,
    next_token: u64,
    loss_percent: u64,
    delay_us_max: u64,
}

const START_MS: u64 = 1_790_000_000_000;

impl World {
    fn new(seed: u64, routers: usize) -> Self {
        let mut rng = Rng::new(seed);
        let routers: Vec<Coordinator> =
            (0..routers).map(|_| Coordinator::new(CoordinatorConfig::default(), rng.next_u64())).collect();
        Self {
            now_us: 0,
            events: BTreeMap::new(),
            serial: 0,
            nodes: (0..3).map(|_| Acceptor::default()).collect(),
            stopped: BTreeSet::new(),
            router_skew_ms: vec![0; routers.len()],
            routers,
            answers: BTreeMap::new(),
            next_token: 0,
            loss_percent: 0,
            delay_us_max: 1_000,
            rng,
        }
    }

    fn now(&self, router: usize) -> Now {
        let wall_ms = (START_MS + self.now_us / 1_000).saturating_add_signed(self.router_skew_ms[router]);
        Now { wall_ms, mono_us: self.now_us }
    }

    fn schedule(&mut self, delay_us: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_us + delay_us, self.serial), event);
    }

    fn submit(&mut self, router: usize, key: &str, task: Task) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        let submit = Submit {
            token,
            key: Key::new(key.to_owned()).unwrap(),
            partition: PartitionId(0),
            replicas: Arc::new(ReplicaSet::single((0..3).map(NodeIndex).collect())),
            task,
            deadline_us: self.now_us + 5_000_000,
        };
        let now = self.now(router);
        self.with(router, |coordinator, out| coordinator.submit(now, submit, out));
        token
    }

    fn with(&mut self, router: usize, act: impl FnOnce(&mut Coordinator, &mut Effects)) {
        let mut out = Effects::default();
        act(&mut self.routers[router], &mut out);
        for (node, request) in out.sends {
            let delay_us = self.rng.up_to(self.delay_us_max);
            if self.rng.up_to(99) < self.loss_percent {
                self.schedule(200_000, Event::Lost(router, node, request.id));
            } else {
                self.schedule(delay_us, Event::Request(router, node, request));
            }
        }
        for (token, answer) in out.answers {
            assert!(self.answers.insert(token, answer).is_none(), "one answer for each request");
        }
    }

    /// Runs until nothing happens any more.
    fn run(&mut self) {
        for _ in 0..2_000_000 {
            let event_us = self.events.first_key_value().map(|((at_us, _), _)| *at_us);
            let timers =
                self.routers.iter().enumerate().filter_map(|(r, c)| c.next_timer_us().map(|at| (at, r)));
            match (event_us, timers.min()) {
                (Some(at_us), timer) if timer.is_none_or(|(due_us, _)| at_us <= due_us) => {
                    self.now_us = self.now_us.max(at_us);
                    let (_, event) = self.events.pop_first().unwrap();
                    self.on_event(event);
                }
                (_, Some((due_us, router))) => {
                    self.now_us = self.now_us.max(due_us);
                    let now = self.now(router);
                    self.with(router, |coordinator, out| coordinator.tick(now, out));
                }
                (None, None) => return,
                (Some(_), None) => unreachable!("covered by the first arm"),
            }
        }
        panic!("the world does not come to rest");
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Request(router, node, request) => {
                if self.stopped.contains(&node) {
                    self.schedule(1_000_000, Event::Lost(router, node, request.id));
                    return;
                }
                let id = request.id;
                let now_ms = START_MS + self.now_us / 1_000;
                let reply = self.nodes[usize::from(node.0)].handle(now_ms, request);
                let delay_us = self.rng.up_to(self.delay_us_max);
                if self.rng.up_to(99) < self.loss_percent {
                    self.schedule(200_000, Event::Lost(router, node, id));
                } else {
                    self.schedule(delay_us, Event::Reply(router, node, reply));
                }
            }
            Event::Reply(router, node, reply) => {
                let node_ms = (START_MS + self.now_us / 1_000)
                    .saturating_add_signed(self.nodes[usize::from(node.0)].skew);
                let now = self.now(router);
                self.with(router, |coordinator, out| coordinator.on_reply(now, node, node_ms, reply, out));
            }
            Event::Lost(router, node, id) => {
                let now = self.now(router);
                self.with(router, |coordinator, out| coordinator.on_lost(now, node, id, out));
            }
        }
    }

    fn answer(&self, token: Token) -> &Result<Answer, Failure> {
        self.answers.get(&token).expect("answered")
    }

    fn settled(&self, token: Token) -> Outcome {
        match self.answer(token) {
            Ok(Answer::Settled(outcome)) => outcome.clone(),
            other => panic!("{token:?} ended with {other:?}"),
        }
    }

    fn read(&mut self, router: usize, key: &str) -> Register {
        let token = self.submit(router, key, Task::Read);
        self.run();
        match self.answer(token) {
            Ok(Answer::State(register)) => (**register).clone(),
            other => panic!("the read ended with {other:?}"),
        }
    }
}

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
/// count between the sure ones and the sure and the unknown ones.
fn judge_increments(world: &mut World, tokens: &[Token], key: &str) {
    let (mut sure, mut unknown) = (BTreeMap::<i64, Version>::new(), 0);
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
        judge_increments(&mut world, &tokens, "k");
        assert!(world.routers.iter().all(|router| router.in_flight() == 0));
        assert!(world.routers.iter().all(|router| router.entries.is_empty() && router.requests.is_empty()));
    }
}
