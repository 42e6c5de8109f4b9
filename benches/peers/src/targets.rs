//! What Roundtable wants to reach beside its peers, judged from the figures of the same run.

use crate::case::{Operation, System};
use crate::results::Results;
use crate::row::Medians;

/// A figure and its bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    /// What is compared, with its unit.
    pub(crate) quantity: &'static str,
    pub(crate) measured: f64,
    pub(crate) bound: Bound,
    /// Where the bound comes from; empty if it is just a number.
    pub(crate) of_whom: &'static str,
}

/// On which side of what a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

/// How a target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    AimReached,
    MustReached,
    Missed,
    /// A case was not measured, or had errors: no figure then counts.
    NotJudged,
}

/// A target: what must hold, and what is aimed at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) subject: &'static str,
    pub(crate) must: Vec<Check>,
    pub(crate) aim: Vec<Check>,
    pub(crate) verdict: Verdict,
}

impl Check {
    /// Whether the figure is on the right side.
    pub(crate) fn holds(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.measured <= bound,
            Bound::AtLeast(bound) => self.measured >= bound,
            Bound::Below(bound) => self.measured < bound,
        }
    }
}

/// All of them.
pub(crate) fn targets(results: &Results) -> Vec<Target> {
    let judged = Judge { results };
    [
        ("put, 64 connections: processor time", judged.put_cpu()),
        ("put, 64 connections: throughput and p99", judged.put_rate(64)),
        ("put, 256 connections: throughput and p99", judged.put_rate(256)),
        ("get, 64 connections: processor time", judged.get_cpu()),
        ("get, 64 connections: throughput and p99", judged.get_rate()),
        ("put, 1 connection: p50", judged.put_latency()),
        ("one hot key, 64 connections: put rate", judged.hot_rate()),
    ]
    .map(|(subject, checks)| target(subject, checks))
    .into()
}

const CPU: &str = "CPU µs/op";
const RATE: &str = "ops/s";
const P99: &str = "p99 ms";

/// What must hold, and what is aimed at.
type Checks = (Vec<Check>, Vec<Check>);

fn target(subject: &'static str, checks: Option<Checks>) -> Target {
    let Some((must, aim)) = checks else {
        return Target { subject, must: Vec::new(), aim: Vec::new(), verdict: Verdict::NotJudged };
    };
    let verdict = match (must.iter().all(Check::holds), aim.iter().all(Check::holds)) {
        (true, true) => Verdict::AimReached,
        (true, false) => Verdict::MustReached,
        (false, _) => Verdict::Missed,
    };
    Target { subject, must, aim, verdict }
}

struct Judge<'a> {
    results: &'a Results,
}

impl Judge<'_> {
    /// The medians of a case without errors.
    fn medians(&self, system: System, operation: Operation, connections: u32) -> Option<Medians> {
        let row = self.results.main_row(system, operation, connections)?;
        (row.errors() == 0 && !row.windows.is_empty()).then(|| row.medians())
    }

    fn put_cpu(&self) -> Option<Checks> {
        let of = |system| Some(self.medians(system, Operation::Put, 64)?.cpu_us_per_op);
        let check = checks(CPU, of(System::Roundtable)?);
        Some((
            vec![
                check(Bound::AtMost(of(System::EtcdGrpc)? / 4.0), "a quarter of etcd's over gRPC"),
                check(Bound::AtMost(of(System::EtcdHttp)? / 5.0), "a fifth of etcd's over HTTP"),
            ],
            vec![check(Bound::AtMost(of(System::Redis)?), "Redis's")],
        ))
    }

    fn put_rate(&self, connections: u32) -> Option<Checks> {
        let ours = self.medians(System::Roundtable, Operation::Put, connections)?;
        let redis = self.medians(System::Redis, Operation::Put, connections)?;
        let (rate, p99) = (checks(RATE, ours.ops_per_s), checks(P99, ours.p99_ms));
        Some((
            vec![
                rate(Bound::AtLeast(redis.ops_per_s), "Redis's"),
                p99(Bound::Below(redis.p99_ms), "Redis's"),
            ],
            vec![rate(Bound::AtLeast(1.5 * redis.ops_per_s), "1.5 times Redis's")],
        ))
    }

    fn get_cpu(&self) -> Option<Checks> {
        let of = |system| Some(self.medians(system, Operation::Get, 64)?.cpu_us_per_op);
        let check = checks(CPU, of(System::Roundtable)?);
        let etcd = of(System::EtcdGrpc)?;
        Some((
            vec![check(Bound::AtMost(etcd / 4.0), "a quarter of etcd's over gRPC")],
            vec![check(Bound::AtMost(20.0), "")],
        ))
    }

    fn get_rate(&self) -> Option<Checks> {
        let ours = self.medians(System::Roundtable, Operation::Get, 64)?;
        let etcd = self.medians(System::EtcdGrpc, Operation::Get, 64)?;
        let (rate, p99) = (checks(RATE, ours.ops_per_s), checks(P99, ours.p99_ms));
        Some((
            vec![
                rate(Bound::AtLeast(4.0 * etcd.ops_per_s), "4 times etcd's over gRPC"),
                p99(Bound::Below(etcd.p99_ms / 2.0), "half of etcd's over gRPC"),
            ],
            vec![rate(Bound::AtLeast(55_000.0), "")],
        ))
    }

    fn put_latency(&self) -> Option<Checks> {
        let of = |system| Some(self.medians(system, Operation::Put, 1)?.p50_ms);
        let check = checks("p50 ms", of(System::Roundtable)?);
        // The better of etcd's two interfaces.
        let etcd = of(System::EtcdGrpc)?.min(of(System::EtcdHttp)?);
        Some((
            vec![check(Bound::Below(etcd / 2.0), "half of etcd's")],
            vec![check(Bound::AtMost(of(System::Redis)?), "Redis's")],
        ))
    }

    fn hot_rate(&self) -> Option<Checks> {
        let of = |operation| Some(self.medians(System::Roundtable, operation, 64)?.ops_per_s);
        let check = checks(RATE, of(Operation::Hot)?);
        let uniform = of(Operation::Put)?;
        Some((
            vec![check(Bound::AtLeast(uniform / 2.0), "half of the rate over all keys")],
            vec![check(Bound::AtLeast(uniform), "the rate over all keys")],
        ))
    }
}

/// Checks of one measured figure.
fn checks(quantity: &'static str, measured: f64) -> impl Fn(Bound, &'static str) -> Check {
    move |bound, of_whom| Check { quantity, measured, bound, of_whom }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{results, row, window};

    /// Rows in which the must of "put, 64 connections: processor time" holds by a hair.
    fn put_rows(our_cpu: f64) -> Results {
        let of = |system, cpu| row(system, Operation::Put, 64, vec![window(1000, 1000, 2000, cpu)]);
        results(vec![
            of(System::Roundtable, our_cpu),
            of(System::EtcdGrpc, 240.0),
            of(System::EtcdHttp, 310.0),
            of(System::Redis, 50.0),
        ])
    }

    fn verdict(results: &Results, subject: &str) -> Verdict {
        targets(results).into_iter().find(|target| target.subject == subject).unwrap().verdict
    }

    #[test]
    fn verdict_follows_must_and_aim() {
        let subject = "put, 64 connections: processor time";
        assert_eq!(verdict(&put_rows(49.0), subject), Verdict::AimReached);
        assert_eq!(verdict(&put_rows(59.9), subject), Verdict::MustReached);
        // A quarter of 240 is 60.
        assert_eq!(verdict(&put_rows(60.1), subject), Verdict::Missed);
        let mut http_is_cheaper = put_rows(59.0);
        http_is_cheaper.rows[2].windows = vec![window(1000, 1000, 2000, 290.0)];
        assert_eq!(verdict(&http_is_cheaper, subject), Verdict::Missed);
    }

    #[test]
    fn case_with_errors_or_without_figures_is_not_judged() {
        let subject = "put, 64 connections: processor time";
        let mut spoiled = put_rows(49.0);
        spoiled.rows[3].windows[0].load.broken = 1;
        assert_eq!(verdict(&spoiled, subject), Verdict::NotJudged);
        assert!(targets(&results(vec![])).iter().all(|target| target.verdict == Verdict::NotJudged));
        assert_eq!(targets(&results(vec![])).len(), 7);
    }

    #[test]
    fn lower_latency_means_lower() {
        let of = |system, ops, p99| row(system, Operation::Put, 256, vec![window(ops, 1, p99, 10.0)]);
        let subject = "put, 256 connections: throughput and p99";
        let judge = |ops, p99| {
            let rows = vec![of(System::Roundtable, ops, p99), of(System::Redis, 1000, 5000)];
            verdict(&results(rows), subject)
        };
        assert_eq!(judge(1500, 4999), Verdict::AimReached);
        assert_eq!(judge(1499, 4999), Verdict::MustReached);
        assert_eq!(judge(1500, 5000), Verdict::Missed);
        assert_eq!(judge(999, 100), Verdict::Missed);
    }

    #[test]
    fn single_connection_is_held_against_the_better_interface_of_etcd() {
        let of = |system, p50| row(system, Operation::Put, 1, vec![window(100, p50, 9000, 10.0)]);
        let subject = "put, 1 connection: p50";
        let judge = |ours| {
            let rows = vec![
                of(System::Roundtable, ours),
                of(System::EtcdGrpc, 1000),
                of(System::EtcdHttp, 1200),
                of(System::Redis, 450),
            ];
            verdict(&results(rows), subject)
        };
        assert_eq!(judge(450), Verdict::AimReached);
        assert_eq!(judge(499), Verdict::MustReached);
        assert_eq!(judge(500), Verdict::Missed);
    }

    #[test]
    fn hot_key_is_held_against_all_keys() {
        let of = |operation, ops| row(System::Roundtable, operation, 64, vec![window(ops, 1, 2, 10.0)]);
        let judge = |hot| {
            let rows = vec![of(Operation::Put, 1000), of(Operation::Hot, hot)];
            verdict(&results(rows), "one hot key, 64 connections: put rate")
        };
        assert_eq!([1000, 500, 499].map(judge), [Verdict::AimReached, Verdict::MustReached, Verdict::Missed]);
    }

    #[test]
    fn reads_have_bounds_of_their_own() {
        let of = |system, ops, p99, cpu| row(system, Operation::Get, 64, vec![window(ops, 1, p99, cpu)]);
        let rows =
            vec![of(System::Roundtable, 55_000, 7_999, 30.0), of(System::EtcdGrpc, 12_000, 16_000, 123.0)];
        let results = results(rows);
        assert_eq!(verdict(&results, "get, 64 connections: throughput and p99"), Verdict::AimReached);
        assert_eq!(verdict(&results, "get, 64 connections: processor time"), Verdict::MustReached);
    }
}
