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
    let mut figures: Vec<(&str, f64)> =
        target.must.iter().chain(&target.aim).map(|check| (quantity(check), check.measured)).collect();
    figures.dedup_by_key(|figure| figure.0);
    figures.sort_by_key(|figure| std::cmp::Reverse(figure.0.starts_with("ops")));
    figures.dedup_by_key(|figure| figure.0);
    let measured = join(figures.iter().map(|(quantity, value)| format!("{} {quantity}", number(*value))));
    format!(
        "| {} | {} | {} | {measured} | {} |\n",
        target.subject,
        bounds(&target.must),
        bounds(&target.aim),
        verdict(target.verdict)
    )
}

/// `CPU µs/op, a quarter of etcd's` is about `CPU µs/op`.
fn quantity(check: &Check) -> &str {
    check.what.split_once(", ").map_or(check.what.as_str(), |(quantity, _)| quantity)
}

fn bound(check: &Check) -> String {
    let (relation, value) = match check.bound {
        Bound::AtMost(value) => ("≤", value),
        Bound::AtLeast(value) => ("≥", value),
        Bound::Below(value) => ("<", value),
    };
    let mark = if check.holds() { "✓" } else { "✗" };
    let (quantity, of_whom) = check.what.split_once(", ").unwrap_or((&check.what, ""));
    let value = number(value);
    match of_whom == value {
        // A bound that is a number anyway needs no words for it.
        true => format!("{quantity} {relation} {value} {mark}"),
        false => format!("{quantity} {relation} {value}, {of_whom} {mark}"),
    }
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
            "| get, 64 connections: processor time | CPU µs/op ≤ 30.0, a quarter of etcd's over gRPC ✓ | \
             CPU µs/op ≤ 20.0, 20 ✗ | 25.0 CPU µs/op | must reached |"
        );
        assert_eq!(
            line("| get, 64 connections: throughput"),
            "| get, 64 connections: throughput and p99 | ops/s ≥ 48,000, 4 times etcd's over gRPC ✓<br>\
             p99 ms < 8.00, half of etcd's over gRPC ✓ | ops/s ≥ 55,000 ✗ | 50,000 ops/s<br>4.00 p99 ms | must reached |"
        );
        assert!(line("| put, 1 connection").ends_with("| not judged: not measured, or with errors |"));
    }
}
