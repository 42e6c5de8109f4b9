//! No router starves another, and every call ends, although clocks are wrong. The seeds' figures are printed.

#![expect(clippy::print_stdout, reason = "a failing run is replayed from what was printed")]

use roundtable_simulation::{Plan, Report, run};

fn play(router_skew_ms: &[i64], node_skew_ms: &[i64]) -> Report {
    let report =
        run(Plan::skewed(1, router_skew_ms.to_vec(), node_skew_ms.to_vec())).unwrap_or_else(|violation| {
            panic!("routers {router_skew_ms:?}, nodes {node_skew_ms:?}: {violation}")
        });
    println!(
        "routers {router_skew_ms:?} ms, nodes {node_skew_ms:?} ms: served {:?}; {report}",
        report.served
    );
    report
}

/// Calls are spread evenly over the routers; a router that loses its races would leave refusals and unknowns behind.
fn assert_fair(report: &Report) {
    let (least, most) = (report.served.iter().min(), report.served.iter().max());
    let (least, most) = (*least.expect("routers"), *most.expect("routers"));
    assert!(least * 2 >= most, "{:?}", report.served);
    assert_eq!((report.in_doubt, report.undecided), (0, 0), "{report}");
}

#[test]
fn a_router_three_seconds_slow_is_served_like_the_other() {
    assert_fair(&play(&[0, -3_000], &[]));
}

#[test]
fn a_router_ahead_of_what_nodes_take_is_served_and_starves_nobody() {
    for ahead_ms in [5_200, 60_000, 3_600_000] {
        assert_fair(&play(&[0, ahead_ms], &[]));
    }
}

#[test]
fn a_slow_node_among_good_ones_starves_nobody() {
    assert_fair(&play(&[0, 0], &[-5_500, 0, 0]));
    assert_fair(&play(&[0, 2_000], &[-4_000, 0, 0]));
}

#[test]
fn a_fast_node_among_good_ones_starves_nobody() {
    assert_fair(&play(&[0, 0], &[60_000, 0, 0]));
}
