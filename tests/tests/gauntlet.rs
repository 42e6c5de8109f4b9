//! Clients on few keys while processes die and freeze, the network fails, disks fill up and clocks go wrong: what
//! they saw has one explanation for each key. `make gauntlet` runs the same for as long as one likes.

#![expect(clippy::print_stdout, reason = "the report tells the seed and what happened")]

use std::time::Duration;

use roundtable_tests::{Gauntlet, Report};

fn run(gauntlet: Gauntlet) -> Report {
    println!("{gauntlet:?}");
    let report = gauntlet.run();
    println!("{report}");
    report
}

#[test]
fn clients_under_faults_of_every_kind_see_linearizable_keys() {
    let report = run(Gauntlet { seed: 3, ..Gauntlet::default() });
    assert!(report.holds(), "{:#?}", report.findings());
    // A run in which nothing happened shows nothing.
    assert_eq!(report.faults_left_out(), Vec::<String>::new());
    assert!(report.answered() > 500 && report.in_doubt() > 0 && report.holds_of_locks() > 5);
}

/// A read of one replica is often right by luck; that none of three runs shows a wrong one is next to impossible.
fn must_find_eventual_reads(namespaces: bool) {
    let length = Duration::from_secs(15);
    for seed in 5..8 {
        let report =
            run(Gauntlet { seed, length, reads_eventually: true, namespaces, ..Gauntlet::default() });
        if report.has_violation() {
            return;
        }
    }
    panic!("the judge takes eventual reads for linearizable ones");
}

#[test]
fn eventual_reads_taken_for_linearizable_ones_are_found_out() {
    must_find_eventual_reads(true);
}

#[test]
fn eventual_reads_are_found_out_on_loopback_too() {
    must_find_eventual_reads(false);
}
