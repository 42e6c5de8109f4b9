//! Everything at once, seed after seed: losses, freezes, health that flaps whatever is true, keyed and unkeyed
//! increments, reads. Clients see each increment once and never an older count, and nothing is left behind.

use super::*;

const NODES: [NodeIndex; 3] = [NodeIndex(0), NodeIndex(1), NodeIndex(2)];

/// A read, and the highest count that was known to be stored before it was asked for.
struct Asked {
    token: Token,
    at_least: i64,
}

struct Chaos {
    world: World,
    increments: Vec<Token>,
    /// Operations with a client's key: both tries of each.
    keyed: Vec<[Token; 2]>,
    /// Creations of another key, each tried twice under a client's key: one of them succeeds.
    creations: Vec<[Token; 2]>,
    reads: Vec<Asked>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 3);
        world.loss_percent = seed % 5 * 4;
        world.delay_us_max = 1 + world.rng.up_to(20_000);
        world.router_skew_ms = vec![0, 1_500, -1_000];
        Self { world, increments: Vec::new(), keyed: Vec::new(), creations: Vec::new(), reads: Vec::new() }
    }

    /// The highest count that anybody has been told.
    fn known(&self) -> i64 {
        let told = self.world.answers.values().filter_map(|answer| match answer {
            Ok(Answer::Settled(Outcome::Incremented { value, .. })) => Some(*value),
            Ok(Answer::State(register)) => Some(count(register)),
            _ => None,
        });
        told.max().unwrap_or(0)
    }

    fn step(&mut self) {
        let router = usize::try_from(self.world.rng.up_to(2)).unwrap();
        let node = NODES[usize::try_from(self.world.rng.up_to(2)).unwrap()];
        match self.world.rng.up_to(9) {
            0..=2 => self.increments.push(self.world.submit(router, "k", increment(None))),
            3 => {
                let tries = self.twice(router, "k", |key| increment(Some(key)));
                self.keyed.push(tries);
            }
            8 => {
                let create = |key| match put_if("mine", Condition::Absent) {
                    Task::Change(operation) => Task::Change(Operation { client_key: Some(key), ..operation }),
                    other => other,
                };
                let tries = self.twice(router, "lock", create);
                self.creations.push(tries);
            }
            4..=5 => {
                let at_least = self.known();
                self.reads.push(Asked { token: self.world.submit(router, "k", Task::Read), at_least });
            }
            6 => {
                let reach = match self.world.rng.up_to(3) {
                    0 => Reach::Doubtful,
                    1 => Reach::Unreachable,
                    _ => Reach::Usable,
                };
                self.world.health(node, reach);
            }
            7 if self.world.stopped.is_empty() => {
                self.world.stopped.insert(node);
            }
            7 => self.world.stopped.clear(),
            _ => {
                let until_us = self.world.now_us + self.world.rng.up_to(60_000);
                self.world.run_until(|world| world.now_us >= until_us);
            }
        }
    }

    /// One operation under a client's key, through two routers.
    fn twice(&mut self, router: usize, key: &str, task: impl Fn(ClientKey) -> Task) -> [Token; 2] {
        let id = OpId(u128::from(self.world.rng.next_u64()));
        let client_key = ClientKey { id, birth: Hlc::from_millis(START_MS), fingerprint: 1 };
        [router, (router + 1) % 3].map(|router| self.world.submit(router, key, task(client_key)))
    }

    fn judge(mut self) {
        self.world.stopped.clear();
        NODES.iter().for_each(|node| self.world.health(*node, Reach::Usable));
        self.world.run();
        self.world.loss_percent = 0;
        for router in &self.world.routers {
            assert_eq!((router.in_flight(), router.held_bytes), (0, 0));
            assert!(router.entries.is_empty() && router.requests.len() == 0);
            assert!(router.timers.is_empty() && router.deadlines.is_empty());
        }
        for read in &self.reads {
            if let Ok(Answer::State(register)) = self.world.answer(read.token) {
                assert!(count(register) >= read.at_least, "a read went back to {}", count(register));
            }
        }
        for tries in self.keyed.iter().chain(&self.creations) {
            let [first, second] = tries.map(|token| self.world.answer(token).clone());
            if let (Ok(Answer::Settled(first)), Ok(Answer::Settled(second))) = (first, second) {
                assert_eq!(first, second, "both tries are told the same");
            }
        }
        let created =
            |token: &&Token| matches!(self.world.answer(**token), Ok(Answer::Settled(Outcome::Created(_))));
        let winners = self.creations.iter().filter(|tries| tries.iter().any(|token| created(&token))).count();
        assert!(winners <= 1, "{winners} of them created the same key");
        // Of two tries one counts; both may be in doubt.
        let keyed = self.keyed.iter().map(
            |[first, second]| {
                if self.world.answer(*first).is_ok() { *first } else { *second }
            },
        );
        let tokens: Vec<Token> = self.increments.iter().copied().chain(keyed).collect();
        let in_doubt = |token: &&Token| *self.world.answer(**token) == Err(Failure::Unknown);
        let doubtful = self.keyed.iter().flatten().filter(in_doubt).count();
        judge_increments(&mut self.world, &tokens, "k", doubtful);
    }
}

fn count(register: &Register) -> i64 {
    text(register).map_or(0, |text| text.parse().unwrap())
}

#[test]
fn clients_see_one_counter_whatever_happens_to_nodes_and_messages() {
    for seed in 0..150 {
        println!("seed {seed}");
        let mut chaos = Chaos::new(seed);
        for _ in 0..60 {
            chaos.step();
        }
        chaos.judge();
    }
}
