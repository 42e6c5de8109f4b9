//! Random histories of batches, syncs and crashes against what an acceptor owes to those who heard its answers.
//!
//! The specification sees only the replies that left, and the disk. Flawed variants (a horizon that is forgotten,
//! replies that don't wait, promises dropped without a floor, promises found by the key's hash alone) show that it
//! would notice.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::shell::*;
use crate::ballot::{Ballot, Hlc, ProposerId};
use crate::key::Key;
use crate::message::{ReplyBody, Request, RequestBody};
use crate::promise::{Promise, PromiseLimits, PromiseTable, StripedPromises};
use crate::register::Register;

const START_MS: u64 = 1_000_000;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// One thing that happens. Ballots are small numbers, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<(usize, Ask)>),
    Tick,
    Commit(usize),
    Crash { kept: usize },
    Advance(u64),
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Prepare {
        round: u64,
        want_value: bool,
    },
    /// The next ballot is `ahead` rounds of the same proposer above this one; 0 asks for what nobody may promise.
    Accept {
        round: u64,
        ahead: Option<u64>,
    },
    Read {
        want_value: bool,
    },
    Fetch {
        round: u64,
    },
}

/// Rounds 400 ms apart, with three proposers and two neighbouring readings in each millisecond.
fn ballot_of(round: u64) -> Ballot {
    let hlc = Hlc::from_millis(START_MS + round / 6 * 400).0 + round / 3 % 2;
    Ballot::new(Hlc(hlc), ProposerId(1 + round % 3))
}

/// One ballot, one register: tombstones, small values and large ones.
fn register_of(ballot: Ballot) -> Register {
    let bytes = (ballot.hlc.0 + ballot.hlc.millis() / 400 + ballot.proposer.0) % 4;
    register(ballot, usize::try_from(bytes).ok().filter(|bytes| *bytes > 0).map(|bytes| bytes * 3))
}

fn body_of(ask: Ask) -> RequestBody {
    match ask {
        Ask::Prepare { round, want_value } => {
            RequestBody::Prepare { ballot: ballot_of(round), want_value, grows: true }
        }
        Ask::Accept { round, ahead } => {
            let next = ahead.map(|ahead| ballot_of(round + 3 * ahead).hlc);
            RequestBody::Accept { register: register_of(ballot_of(round)).into(), next }
        }
        Ask::Read { want_value } => RequestBody::Read { want_value },
        Ask::Fetch { round } => RequestBody::Fetch { accepted: ballot_of(round) },
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let round = || 0u64..90;
    prop_oneof![
        4 => (round(), any::<bool>()).prop_map(|(round, want_value)| Ask::Prepare { round, want_value }),
        4 => (round(), prop::option::of(0_u64..4)).prop_map(|(round, ahead)| Ask::Accept { round, ahead }),
        1 => any::<bool>().prop_map(|want_value| Ask::Read { want_value }),
        1 => round().prop_map(|round| Ask::Fetch { round }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((0..KEYS.len(), ask()), 1..4).prop_map(Step::Batch),
        1 => Just(Step::Tick),
        4 => (1usize..5).prop_map(Step::Commit),
        1 => (0usize..4).prop_map(|kept| Step::Crash { kept }),
        1 => (0u64..2_000).prop_map(Step::Advance),
    ]
}

/// What has been told of one key.
#[derive(Debug, Default)]
struct Told {
    /// Promised ballots, each with the accepted ballot told along.
    promised: BTreeMap<Ballot, Ballot>,
    accepted: Vec<Ballot>,
}

/// How often the interesting things happened, so that no run passes because nothing did.
#[derive(Debug, Default, Clone, Copy)]
struct Sights {
    promises: u64,
    accepts: u64,
    next_promised: u64,
    crashes_with_writes: u64,
    outbid: u64,
    dropped: u64,
}

/// The owner of the specification: looks at each reply that left, at the moment when it left.
#[derive(Debug, Default)]
struct Observer {
    told: BTreeMap<Key, Told>,
    seen: usize,
    sights: Sights,
}

impl Observer {
    fn look<P: PromiseTable>(&mut self, shell: &Shell<P>) -> Result<(), String> {
        for (request, reply) in &shell.told[self.seen..] {
            self.judge(shell, request, &reply.body)?;
        }
        self.seen = shell.told.len();
        for (key, told) in &self.told {
            let (held, told) = (shell.disk.accepted(key), told.accepted.iter().max().copied());
            if told.is_some_and(|told| held < told) {
                return Err(format!("{key}: {told:?} was acknowledged and the disk holds {held:?}"));
            }
        }
        Ok(())
    }

    fn judge<P: PromiseTable>(
        &mut self,
        shell: &Shell<P>,
        request: &Request,
        reply: &ReplyBody,
    ) -> Result<(), String> {
        let key = &request.key;
        match (&request.body, reply) {
            (RequestBody::Prepare { ballot, want_value, .. }, ReplyBody::Promised(register)) => {
                self.sights.promises += 1;
                durable(shell, key, register, *want_value)?;
                self.promised(shell, key, *ballot, register.accepted)
            }
            (RequestBody::Accept { register, next }, ReplyBody::Accepted { next_promised }) => {
                self.sights.accepts += 1;
                let ballot = register.accepted;
                self.told.entry(key.clone()).or_default().accepted.push(ballot);
                if *next_promised {
                    self.sights.next_promised += 1;
                    let next = next.map(|next| Ballot::new(next, ballot.proposer));
                    let next = next.filter(|next| *next > ballot).ok_or("promised what was not asked for")?;
                    self.promised(shell, key, next, ballot)?;
                }
                self.consistent(key)
            }
            (RequestBody::Read { want_value }, ReplyBody::State(register)) => {
                durable(shell, key, register, *want_value)
            }
            (RequestBody::Fetch { accepted }, ReplyBody::Fetched(Some(register))) => {
                if register.accepted != *accepted {
                    return Err(format!("{key}: fetched {register:?} instead of {accepted:?}"));
                }
                durable(shell, key, register, true)
            }
            (RequestBody::Fetch { .. }, ReplyBody::Fetched(None)) => Ok(()),
            (_, ReplyBody::Rejected(_)) => {
                self.sights.outbid += 1;
                Ok(())
            }
            other => Err(format!("{key}: an answer of another kind: {other:?}")),
        }
    }

    fn promised<P: PromiseTable>(
        &mut self,
        shell: &Shell<P>,
        key: &Key,
        ballot: Ballot,
        found: Ballot,
    ) -> Result<(), String> {
        if ballot >= shell.disk.horizon {
            return Err(format!("{key}: {ballot:?} was promised, and the disk's horizon is not above it"));
        }
        match self.told.entry(key.clone()).or_default().promised.insert(ballot, found) {
            Some(before) if before != found => {
                return Err(format!("{key}: {ballot:?} was promised over {before:?} and over {found:?}"));
            }
            _ => {}
        }
        self.consistent(key)
    }

    /// Who was promised `b` and told of `a` knows that nothing between them was or will be accepted.
    fn consistent(&self, key: &Key) -> Result<(), String> {
        let told = &self.told[key];
        for (promised, found) in &told.promised {
            if let Some(broken) = told.accepted.iter().find(|c| *c < promised && *c > found) {
                return Err(format!(
                    "{key}: {promised:?} was promised over {found:?}, and {broken:?} accepted"
                ));
            }
        }
        Ok(())
    }
}

/// What is told of a register is on the disk, or has been replaced there by a higher one.
fn durable<P: PromiseTable>(
    shell: &Shell<P>,
    key: &Key,
    told: &Register,
    want_value: bool,
) -> Result<(), String> {
    let held = shell.disk.accepted(key);
    if told.accepted > held {
        return Err(format!("{key}: {:?} was told and the disk holds {held:?}", told.accepted));
    }
    let whole = if told.is_absent() { Register::absent(Ballot::ZERO) } else { register_of(told.accepted) };
    let expected = if want_value { whole } else { whole.without_value() };
    if *told != expected { Err(format!("{key}: {told:?} was told instead of {expected:?}")) } else { Ok(()) }
}

/// What is left out of the replica, for the specification to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    ForgetsHorizon,
    DoesNotWait,
}

/// Runs it twice: with every register read from the disk, and with room for two of the three keys' registers.
fn run<P: PromiseTable>(steps: &[Step], flaw: Flaw, table: impl Fn() -> P) -> Result<Sights, String> {
    run_with(steps, flaw, &table, 0)?;
    run_with(steps, flaw, &table, 2 * ROOM_BYTES)
}

fn run_with<P: PromiseTable>(
    steps: &[Step],
    flaw: Flaw,
    table: &impl Fn() -> P,
    recent_bytes_max: usize,
) -> Result<Sights, String> {
    let mut shell = Shell::new(table(), START_MS, recent_bytes_max);
    shell.impatient = flaw == Flaw::DoesNotWait;
    let mut observer = Observer::default();
    for step in steps {
        match step {
            Step::Batch(asks) => {
                let request = |(name, ask): &(usize, Ask)| request(&key(KEYS[*name]), body_of(*ask));
                shell.batch(asks.iter().map(request).collect());
            }
            Step::Tick => shell.tick(),
            Step::Commit(count) => shell.commit(*count),
            Step::Crash { kept } => {
                observer.sights.crashes_with_writes += u64::from(shell.queued() > 0);
                observer.sights.dropped += shell.replica.promises().dropped();
                if flaw == Flaw::ForgetsHorizon {
                    shell.crash_without_horizon(*kept, table());
                } else {
                    shell.crash(*kept, table());
                }
            }
            Step::Advance(ms) => shell.conditions.now_ms += ms,
        }
        observer.look(&shell)?;
    }
    Ok(observer.sights)
}

/// Room for two short keys.
fn small_table() -> StripedPromises {
    StripedPromises::new(PromiseLimits { stripes: 1, stripe_bytes_max: 2 * (PromiseLimits::ENTRY_BYTES + 1) })
}

/// A table of the key's hash alone. All keys of these tests share one hash.
#[derive(Debug, Default)]
struct ByHash {
    promise: Option<Promise>,
}

impl PromiseTable for ByHash {
    fn get(&self, _: u64, _: &Key) -> Option<Promise> {
        self.promise
    }
    fn floor(&self, _: u64) -> Ballot {
        Ballot::ZERO
    }
    fn insert(&mut self, _: u64, _: &Key, promise: Promise) {
        self.promise = Some(promise);
    }
    fn remove(&mut self, _: u64, _: &Key) {
        self.promise = None;
    }
    fn len(&self) -> usize {
        usize::from(self.promise.is_some())
    }
    fn dropped(&self) -> u64 {
        0
    }
}

/// A table with room for one promise that drops the other without raising a floor.
#[derive(Debug, Default)]
struct Floorless {
    promise: Option<(Key, Promise)>,
}

impl PromiseTable for Floorless {
    fn get(&self, _: u64, key: &Key) -> Option<Promise> {
        self.promise.as_ref().filter(|(held, _)| held == key).map(|(_, promise)| *promise)
    }
    fn floor(&self, _: u64) -> Ballot {
        Ballot::ZERO
    }
    fn insert(&mut self, _: u64, key: &Key, promise: Promise) {
        self.promise = Some((key.clone(), promise));
    }
    fn remove(&mut self, _: u64, key: &Key) {
        self.promise.take_if(|(held, _)| held == key);
    }
    fn len(&self) -> usize {
        usize::from(self.promise.is_some())
    }
    fn dropped(&self) -> u64 {
        0
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

/// Whether any of many histories, the same in every run, breaks the specification or an assertion.
fn is_caught<P: PromiseTable>(flaw: Flaw, table: impl Fn() -> P + Copy) -> bool {
    let config = Config { cases: 1_500, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&steps, flaw, table)));
        match outcome {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(broken)) => Err(TestCaseError::fail(broken)),
            Err(_) => Err(TestCaseError::fail("an assertion of the replica or of the disk")),
        }
    });
    matches!(outcome, Err(TestError::Fail(..)))
}

proptest! {
    #![proptest_config(Config { cases: 1_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn histories_of_batches_syncs_and_crashes_keep_every_word_given(steps in steps()) {
        let kept = run(&steps, Flaw::None, small_table);
        prop_assert!(kept.is_ok(), "{kept:?}");
    }

    #[test]
    fn histories_with_a_large_promise_table_keep_every_word_given(steps in steps()) {
        let kept = run(&steps, Flaw::None, || StripedPromises::new(PromiseLimits::STANDARD));
        prop_assert!(kept.is_ok(), "{kept:?}");
    }
}

#[test]
fn histories_reach_every_interesting_thing() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut all = Sights::default();
    for _ in 0..300 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let sights = run(&steps, Flaw::None, small_table).unwrap();
        all.promises += sights.promises;
        all.accepts += sights.accepts;
        all.next_promised += sights.next_promised;
        all.crashes_with_writes += sights.crashes_with_writes;
        all.outbid += sights.outbid;
        all.dropped += sights.dropped;
    }
    let Sights { promises, accepts, next_promised, crashes_with_writes, outbid, dropped } = all;
    let least = [promises, accepts, next_promised, crashes_with_writes, outbid, dropped].into_iter().min();
    assert!(least > Some(50), "{all:?}");
}

#[test]
fn histories_of_the_sound_replica_are_not_caught() {
    assert!(!is_caught(Flaw::None, small_table));
}

#[test]
fn histories_of_a_replica_that_forgets_its_horizon_are_caught() {
    assert!(is_caught(Flaw::ForgetsHorizon, small_table));
}

#[test]
fn histories_of_a_replica_that_answers_before_the_sync_are_caught() {
    assert!(is_caught(Flaw::DoesNotWait, small_table));
}

#[test]
fn histories_with_promises_dropped_without_a_floor_are_caught() {
    assert!(is_caught(Flaw::None, Floorless::default));
}

#[test]
fn histories_with_promises_found_by_hash_alone_are_caught() {
    assert!(is_caught(Flaw::None, ByHash::default));
}
