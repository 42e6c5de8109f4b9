//! A fixed set of seeds, and every seed that ever failed.

#![expect(clippy::print_stdout, reason = "a failing run is replayed from what was printed")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use roundtable_consensus::Failure;
use roundtable_simulation::{Mishap, Paths, Plan, Report, run};

/// Each is played in every plan.
const SEEDS: u64 = 1_000;

/// Every reason for which a call may have no answer.
const FAILURES: [Failure; 7] = [
    Failure::NoQuorum,
    Failure::Contention,
    Failure::ClockSkew,
    Failure::DiskReserve,
    Failure::Overloaded,
    Failure::Unknown,
    Failure::Timeout,
];

/// Seeds that once showed a fault; they stay.
const ONCE_FAILED: &[u64] = &[];

fn play(seed: u64, name: &str, plan: Plan) -> Report {
    println!("seed {seed} {name}: replay with `make sim SEED={seed}`");
    match run(plan) {
        Ok(report) => {
            println!("seed {seed} {name}: {report}");
            report
        }
        Err(violation) => panic!("seed {seed} {name}: {violation}"),
    }
}

/// Plays seeds on all cores, each in every plan.
fn play_all(seeds: u64) -> Vec<Report> {
    let (next, reports) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let played = Plan::all(seed).map(|(name, plan)| play(seed, name, plan));
            reports.lock().expect("no thread fails while it holds this").extend(played);
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    reports.into_inner().expect("no thread fails while it holds this")
}

/// A check that never meets what it is about proves nothing.
#[test]
fn a_fixed_set_of_seeds_meets_every_mishap_and_holds_every_property() {
    let reports = play_all(SEEDS);
    let runs_with: BTreeMap<Mishap, usize> = Mishap::ALL
        .map(|mishap| (mishap, reports.iter().filter(|report| report.mishaps.contains_key(&mishap)).count()))
        .into();
    for (mishap, runs) in &runs_with {
        let times: u64 = reports.iter().filter_map(|report| report.mishaps.get(mishap)).sum();
        println!("{mishap:?}: {times} times in {runs} of {} runs", reports.len());
    }
    let rare: Vec<_> = runs_with.iter().filter(|(_, runs)| **runs < 10).collect();
    assert!(rare.is_empty(), "hardly met: {rare:?}");
    let taken = |count: fn(&Paths) -> u64| reports.iter().filter(|run| count(&run.paths) > 0).count();
    let failures: BTreeMap<Failure, u64> = reports.iter().flat_map(|report| &report.failures).fold(
        BTreeMap::new(),
        |mut sums, (failure, times)| {
            *sums.entry(*failure).or_default() += times;
            sums
        },
    );
    println!("{failures:?}");
    for failure in FAILURES {
        assert!(failures.get(&failure).is_some_and(|times| *times >= 3), "{failure:?}: {failures:?}");
    }
    assert!(taken(|run| run.forgotten) > 10);
    assert!(taken(|run| run.rounds_failed) > 100);
    assert!(taken(|run| run.read_fallbacks) > 100);
    assert!(taken(|run| run.one_trip_answers) > 100);
    assert!(taken(|run| run.operations_combined) > 100);
    assert!(taken(|run| run.hedges) > 100);
    assert!(taken(|run| run.clock_pull_backs) > 10);
    assert!(taken(|run| run.batches_shared) > 100);
    assert!(taken(|run| run.link_overflows) > 10);
    assert!(taken(|run| run.listings) > 100);
    assert!(taken(|run| run.listed_by_read) > 100);
    let undecided: u64 = reports.iter().map(|report| report.undecided).sum();
    assert_eq!(undecided, 0, "histories too tangled to be judged");
}

#[test]
fn every_seed_that_ever_failed_holds_every_property() {
    for seed in ONCE_FAILED {
        for (name, plan) in Plan::all(*seed) {
            play(*seed, name, plan);
        }
    }
}

#[test]
fn a_run_is_the_same_every_time() {
    for (_, plan) in Plan::all(7) {
        assert_eq!(run(plan.clone()), run(plan));
    }
}

/// With the product's memory: routers that remember four rounds may forget one that was outbid between its phases.
#[test]
fn runs_without_faults_leave_nothing_in_doubt() {
    for seed in 0..24 {
        let plan = Plan { fault_every_us: 0, tight: false, ..Plan::standard(seed) };
        let report = run(plan).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        let left = (report.in_doubt, report.never_applied, report.undecided);
        assert_eq!(left, (0, 0, 0), "seed {seed}: {report}");
    }
}
