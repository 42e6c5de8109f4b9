//! A fixed set of seeds, and every seed that ever failed.

#![expect(clippy::print_stdout, reason = "a failing run is replayed from what was printed")]

use roundtable_simulation::{Paths, Plan, run};

/// Seeds that once showed a fault; they stay.
const ONCE_FAILED: &[u64] = &[];

fn play(seed: u64, plan: Plan) -> Paths {
    println!("seed {seed}: replay with `make sim SEED={seed}`");
    match run(plan) {
        Ok(report) => {
            println!("{report}");
            report.paths
        }
        Err(violation) => panic!("seed {seed}: {violation}"),
    }
}

#[test]
fn a_fixed_set_of_seeds_holds_every_property() {
    let mut paths = Vec::new();
    for seed in 0..500 {
        paths.extend([play(seed, Plan::standard(seed)), play(seed, Plan::harsh(seed))]);
        if seed % 10 == 0 {
            play(seed, Plan::restless(seed));
            play(seed, Plan::fleeting(seed));
        }
    }
    // A check that never meets what it is about proves nothing.
    let taken = |count: fn(&Paths) -> u64| paths.iter().filter(|run| count(run) > 0).count();
    assert!(taken(|run| run.rounds_failed) > 100);
    assert!(taken(|run| run.read_fallbacks) > 100);
    assert!(taken(|run| run.one_trip_answers) > 100);
    assert!(taken(|run| run.operations_combined) > 100);
    assert!(taken(|run| run.hedges) > 100);
    assert!(taken(|run| run.clock_pull_backs) > 10);
}

#[test]
fn every_seed_that_ever_failed_holds_every_property() {
    for seed in ONCE_FAILED {
        play(*seed, Plan::standard(*seed));
        play(*seed, Plan::harsh(*seed));
        play(*seed, Plan::restless(*seed));
        play(*seed, Plan::fleeting(*seed));
    }
}

#[test]
fn a_run_is_the_same_every_time() {
    assert_eq!(run(Plan::standard(7)), run(Plan::standard(7)));
}

#[test]
fn a_run_without_faults_leaves_nothing_in_doubt() {
    let plan = Plan { fault_every_us: 0, ..Plan::standard(3) };
    let report = run(plan).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!((report.in_doubt, report.never_applied, report.undecided), (0, 0, 0), "{report}");
}
