//! The table of targets.

use crate::report::number;
use crate::results::Results;
use crate::targets::{Bound, Check, Target, Verdict, targets};

/// The section of the page.
pub(crate) fn section(results: &Results) -> String {
    let rows: Vec<String> = targets(results).iter().map(line).collect();
    format!(
        "## Targets\n\n\
         Values of 1 KiB, uniform keys. Each bound is made from the peers' figures of this very run.\n\n\
         | target | must | aim | measured | verdict |\n|---|---|---|---|---|\n{}",
        rows.concat()
    )
}

fn line(target: &Target) -> String {
    let bounds = |checks: &[Check]| join(checks.iter().map(bound));
    let mut measured = Vec::new();
    for check in target.must.iter().chain(&target.aim) {
        let figure = format!("{} {}", check.quantity, number(check.measured));
        if !measured.contains(&figure) {
            measured.push(figure);
        }
    }
    format!(
        "| {} | {} | {} | {} | {} |\n",
        target.subject,
        bounds(&target.must),
        bounds(&target.aim),
        join(measured.into_iter()),
        verdict(target.verdict)
    )
}

fn bound(check: &Check) -> String {
    let (relation, value) = match check.bound {
        Bound::AtMost(value) => ("≤", value),
        Bound::AtLeast(value) => ("≥", value),
        Bound::Below(value) => ("<", value),
    };
    let mark = if check.holds() { "✓" } else { "✗" };
    let of_whom = match check.of_whom {
        "" => String::new(),
        of_whom => format!(" ({of_whom})"),
    };
    format!("{} {relation} {}{of_whom} {mark}", check.quantity, number(value))
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("<br>")
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::AimReached => "**aim reached**",
        Verdict::MustReached => "must reached",
        Verdict::Missed => "**missed**",
        Verdict::NotJudged => "not judged: not measured, or with errors",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Operation, System};
    use crate::results::tests::{results, row, window};

    #[test]
    fn line_shows_bounds_and_figures() {
        let of = |system, ops, p99, cpu| row(system, Operation::Get, 64, vec![window(ops, 1, p99, cpu)]);
        let rows =
            vec![of(System::Roundtable, 50_000, 4_000, 25.0), of(System::EtcdGrpc, 12_000, 16_000, 120.0)];
        let section = section(&results(rows));
        let line = |start| section.lines().find(|line| line.starts_with(start)).unwrap();
        assert_eq!(
            line("| get, 64 connections: processor time"),
            "| get, 64 connections: processor time | CPU µs/op ≤ 30.0 (a quarter of etcd's over gRPC) ✓ | \
             CPU µs/op ≤ 20.0 ✗ | CPU µs/op 25.0 | must reached |"
        );
        assert_eq!(
            line("| get, 64 connections: throughput"),
            "| get, 64 connections: throughput and p99 | ops/s ≥ 48,000 (4 times etcd's over gRPC) ✓<br>\
             p99 ms < 8.00 (half of etcd's over gRPC) ✓ | ops/s ≥ 55,000 ✗ | ops/s 50,000<br>p99 ms 4.00 | must reached |"
        );
        assert!(line("| put, 1 connection").ends_with("| not judged: not measured, or with errors |"));
    }
}
