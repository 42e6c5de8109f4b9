//! The gauntlet: real clients talk HTTP to real routers and nodes while these are killed, frozen, cut off, filled up
//! and given wrong clocks; what the clients saw is then held against the specification.
//!
//! A run draws its faults from a seed ([`schedule`]), starts nodes behind gates that can harm every connection
//! ([`network`]), lets clients work on few keys ([`workload`]) and records each call with its times and what the
//! client knows of its end ([`recorder`]). At the end the faults are taken away: everything must become ready, each
//! key must be readable through each router, and each lock must end. Then the judge of the crate `simulation` looks
//! for an order of all calls on a key that explains every answer, and [`locks`] looks at who held which lock when.
//!
//! The same seed gives the same faults at the same times and the same wishes of the clients. What comes of them is up
//! to the machine: real processes don't repeat themselves.

mod arena;
mod caller;
mod client;
mod clock;
mod fault;
mod locks;
mod means;
mod network;
mod recorder;
mod report;
mod schedule;
mod speech;
mod workload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roundtable_simulation::checker::{Ending, Operation, Verdict, judge};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::wait::eventually;
use arena::Arena;
use caller::Caller;
use means::Means;
use recorder::{Recorded, Recorder};
pub use report::Report;
use report::{Conditions, Harm, KeyReport};
use schedule::Schedule;

const NODES: usize = 3;
const ROUTERS: usize = 2;
/// Whose data is on a disk that can really be filled, where the machine allows one. It is in memory, so the others
/// keep to the machine's own, whose syncs take their time.
const SMALL_DISK: Party = Party::Node(2);
/// States after which the judge gives a key up.
const STATES_MAX: usize = 2_000_000;
/// Attempts at reading a key when all faults are over; one should do.
const FINAL_ATTEMPTS: usize = 3;

/// How a shell reports a program that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The number of the client that reads everything in the end; the others count from 1.
const LAST_CLIENT: u32 = 0;

/// One process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Party {
    /// A storage node, counted from 1.
    Node(usize),
    /// A router, counted from 1.
    Router(usize),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(number) => write!(f, "n{number}"),
            Self::Router(number) => write!(f, "r{number}"),
        }
    }
}

/// A run to be made.
#[derive(Debug, Clone, Copy)]
pub struct Gauntlet {
    /// Decides on the faults and on the wishes of the clients.
    pub seed: u64,
    /// How long the clients work.
    pub length: Duration,
    /// How many clients there are.
    pub clients: u32,
    /// The clients ask for eventual reads and report them as linearizable ones, which they are not: to see that the
    /// judge can say no.
    pub reads_eventually: bool,
    /// Processes get network namespaces of their own if the machine allows it; otherwise all are on loopback.
    pub namespaces: bool,
}

impl Default for Gauntlet {
    fn default() -> Self {
        Self {
            seed: 1,
            length: Duration::from_secs(20),
            clients: 8,
            reads_eventually: false,
            namespaces: true,
        }
    }
}

impl Gauntlet {
    /// Runs it, in a thread and a network of its own.
    ///
    /// # Panics
    /// When the cluster does not become ready before the faults, or again after them.
    #[must_use]
    pub fn run(self) -> Report {
        let parties: Vec<Party> =
            (1..=NODES).map(Party::Node).chain((1..=ROUTERS).map(Party::Router)).collect();
        let means = Means::gather(&self, &parties);
        let hub = means.wires.as_ref().map(|wires| wires.hub().clone());
        let work = || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    report = self.run_with(&parties, means) => report,
                    _ = tokio::signal::ctrl_c() => {
                        // By now all processes are killed, those too that stood still and would not hear it.
                        std::process::exit(INTERRUPTED)
                    }
                }
            })
        };
        match hub {
            Some(hub) => hub.enter(work),
            None => std::thread::scope(|scope| scope.spawn(work).join())
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        }
    }

    async fn run_with(self, parties: &[Party], mut means: Means) -> Report {
        let schedule = Schedule::draw(self.seed, self.length, NODES, ROUTERS, &means.kinds());
        let network = means.network();
        let skipped = std::mem::take(&mut means.skipped);
        let mut arena = Arena::start(parties, means).await;
        let started = Instant::now();
        let recorder = Arc::new(Recorder::new(started, schedule.first_skew()));
        let routers = arena.routers();
        let mut callers = JoinSet::new();
        for number in 1..=self.clients {
            let recorder = Arc::clone(&recorder);
            let caller = Caller::new(number, self.seed, &routers, recorder, self.reads_eventually);
            callers.spawn(workload::work(caller, self.length));
        }
        arena.play(&schedule, started).await;
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
        arena.deaths().into_iter().for_each(|death| recorder.unexpected(death));
        arena.ready().await;
        let last = Caller::new(LAST_CLIENT, self.seed, &routers, Arc::clone(&recorder), false);
        read_everything(last, routers.len()).await;

        let harm = Harm::of(&arena.network);
        let recorded = Arc::into_inner(recorder).unwrap().finish();
        let report = self.judge(&schedule, Conditions { network, skipped, harm }, recorded);
        if !report.holds() && !self.reads_eventually {
            arena.print_logs();
        }
        report
    }

    fn judge(self, schedule: &Schedule, conditions: Conditions, recorded: Recorded) -> Report {
        let mut findings = recorded.unexpected;
        let mut keys = Vec::new();
        for (key, history) in recorded.histories {
            let verdict = judge(&history, STATES_MAX);
            if let Some(finding) = finding(&key, &verdict) {
                findings.push(finding + &self.keep(&key, &history));
            }
            keys.push(KeyReport::of(key, &history, verdict));
        }
        for (key, holds) in &recorded.holds {
            findings.extend(locks::conflicts(holds).into_iter().map(|conflict| format!("{key}: {conflict}")));
        }
        Report {
            seed: self.seed,
            length: self.length,
            conditions,
            faults: schedule.counts(),
            tallies: recorded.tallies,
            keys,
            holds: recorded.holds.values().map(Vec::len).sum(),
            findings,
        }
    }

    /// Writes a history that was found wrong to a file, in the order of its beginnings, and says where; a broken
    /// client's is as wrong as it should be.
    fn keep(self, key: &str, history: &[Operation]) -> String {
        if self.reads_eventually {
            return String::new();
        }
        let mut sorted = history.to_vec();
        sorted.sort_by_key(|operation| operation.invoked);
        let lines: Vec<String> = sorted.iter().map(ToString::to_string).collect();
        let file = std::env::temp_dir().join(format!("roundtable-gauntlet-{}-{key}.txt", self.seed));
        std::fs::write(&file, lines.join("\n")).unwrap();
        format!("\n  history: {}", file.display())
    }
}

/// With all faults over, each key must be readable through each router, and a lock that nobody renews must end.
async fn read_everything(mut caller: Caller, routers: usize) {
    for key in caller.recorder.keys() {
        if key.starts_with("lock") {
            eventually("a lock ends", async || {
                let ending = caller.must_read(&key, 0, FINAL_ATTEMPTS).await;
                (ending == Some(Ending::Nothing)).then_some(())
            })
            .await;
        }
        for router in 0..routers {
            if caller.must_read(&key, router, FINAL_ATTEMPTS).await.is_none() {
                caller.recorder.unexpected(format!("{key} cannot be read through r{}", router + 1));
            }
        }
    }
}

fn finding(key: &str, verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Linearizable => None,
        Verdict::Undecided { states } => Some(format!("{key}: not decided after {states} states")),
        Verdict::Violation { placed, stuck } => {
            let stuck: Vec<String> = stuck.iter().map(|operation| format!("\n    {operation}")).collect();
            Some(format!(
                "{key}: not linearizable: after {placed} calls none of these fits:{}",
                stuck.concat()
            ))
        }
    }
}
