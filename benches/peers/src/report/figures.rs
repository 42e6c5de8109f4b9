//! Tables of figures.

use crate::case::{Case, Distribution, Operation, System};
use crate::matrix::MAIN_VALUE_BYTES;
use crate::report::number;
use crate::results::Results;
use crate::row::{Medians, Row};

/// The load of the table at the top.
const GLANCE_CONNECTIONS: u32 = 64;

/// A load tool busier than this, per thread, may be what limits the figure.
const LOAD_BUSY_MAX: f64 = 0.9;

/// Work of others beyond this many processors makes a figure doubtful.
const OTHERS_BUSY_MAX: f64 = 0.3;

/// Roundtable against each peer at 64 connections, as ratios.
pub(crate) fn glance(results: &Results) -> String {
    let peers: Vec<System> =
        results.systems().into_iter().filter(|system| *system != System::Roundtable).collect();
    let mut lines = Vec::new();
    for operation in [Operation::Put, Operation::Get, Operation::Mixed, Operation::Hot] {
        let row = |system| results.main_row(system, operation, GLANCE_CONNECTIONS);
        let Some(ours) = row(System::Roundtable).map(Row::medians) else { continue };
        for &peer in &peers {
            let Some(theirs) = row(peer).map(Row::medians) else { continue };
            lines.push(format!(
                "| {} | {} | {} | {} | {} |\n",
                operation.name(),
                peer.name(),
                ratio(ours.ops_per_s, theirs.ops_per_s),
                ratio(theirs.cpu_us_per_op, ours.cpu_us_per_op),
                ratio(theirs.p99_ms, ours.p99_ms),
            ));
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "## At a glance\n\n\
         {GLANCE_CONNECTIONS} connections, values of 1 KiB, uniform keys. Above 1, Roundtable does better.\n\n\
         | operation | peer | Roundtable's throughput, in the peer's | the peer's CPU per operation, in Roundtable's \
         | the peer's p99, in Roundtable's |\n|---|---|---|---|---|\n{}",
        lines.concat()
    )
}

/// A table for each combination of size, operation and keys.
pub(crate) fn tables(results: &Results) -> String {
    let mut cases: Vec<Case> = results.rows.iter().map(|row| row.case).collect();
    // The main size first, and writes before reads: what a reader looks for.
    let rank = |case: &Case| {
        let order = [Operation::Put, Operation::Get, Operation::Mixed, Operation::Hot];
        let place = order.iter().position(|operation| *operation == case.operation);
        (case.value_bytes != MAIN_VALUE_BYTES, case.value_bytes, case.distribution, place, case.connections)
    };
    cases.sort_by_key(rank);
    cases.dedup();
    let of_one_table = |one: &Case, next: &Case| Case { connections: next.connections, ..*one } == *next;
    let tables: Vec<String> = cases.chunk_by(of_one_table).map(|cases| table(results, cases)).collect();
    format!(
        "## All figures\n\n\
         Windows per case: {}, of {} s each. Every column is the median over them, taken by itself; ± is half the range of \
         their throughputs. CPU is the \
         user and system time of all server processes for one operation, without the load tool's, which stands \
         beside it. The last two columns are Roundtable's throughput in this system's, and this system's CPU per \
         operation in Roundtable's: above 1, Roundtable does better.\n\n\
         A put of Redis waits for a replica's receipt of the write, not for its sync, and its gets are not linearizable; all \
         others' writes are synced on a majority and their gets linearizable.\n\n\
         † the load tool used over {:.0} % of its threads: the system may be able to do more. ‡ other processes and the \
         kernel's own threads used over {OTHERS_BUSY_MAX} processors: doubtful.\n\n{}",
        results.settings.windows,
        results.settings.window_s,
        LOAD_BUSY_MAX * 100.0,
        tables.join("\n")
    )
}

fn table(results: &Results, cases: &[Case]) -> String {
    let Some(first) = cases.first() else { return String::new() };
    let mut lines = Vec::new();
    for case in cases {
        let ours = results.row(System::Roundtable, case).map(Row::medians);
        let of_case = results.systems().into_iter().filter_map(|system| results.row(system, case));
        lines.extend(of_case.map(|row| line(row, ours.as_ref(), results.settings.load_threads)));
    }
    format!(
        "### {}\n\n\
         | connections | system | ops/s | ± % | p50 ms | p90 ms | p99 ms | p99.9 ms | CPU µs/op | load tool µs/op \
         | memory MiB | errors | throughput × | CPU × |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n{}",
        heading(first),
        lines.concat()
    )
}

fn heading(case: &Case) -> String {
    let size = match case.value_bytes {
        MAIN_VALUE_BYTES => "1 KiB".to_owned(),
        bytes => format!("{bytes} B"),
    };
    let keys = match (case.operation, case.distribution) {
        (Operation::Hot, _) => "",
        (_, Distribution::Uniform) => ", uniform keys",
        (_, Distribution::Zipfian) => ", zipfian keys",
    };
    format!("{}, {size}{keys}", case.operation.name())
}

fn line(row: &Row, ours: Option<&Medians>, load_threads: u32) -> String {
    let medians = row.medians();
    let errors = match row.errors() {
        0 => "0".to_owned(),
        errors => format!("**{errors}**"),
    };
    let threads = f64::from(load_threads.min(row.case.connections));
    let mut marks = String::new();
    if medians.load_threads_busy > LOAD_BUSY_MAX * threads {
        marks.push_str(" †");
    }
    if medians.other_cores_busy > OTHERS_BUSY_MAX {
        marks.push_str(" ‡");
    }
    let of_us =
        |ratio: fn(&Medians, &Medians) -> String| ours.map_or("".to_owned(), |ours| ratio(ours, &medians));
    let (faster, cheaper) = match row.system {
        System::Roundtable => (String::new(), String::new()),
        _ => (
            of_us(|ours, theirs| ratio(ours.ops_per_s, theirs.ops_per_s)),
            of_us(|ours, theirs| ratio(theirs.cpu_us_per_op, ours.cpu_us_per_op)),
        ),
    };
    format!(
        "| {} | {} | {}{marks} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {errors} | {faster} | {cheaper} |\n",
        row.case.connections,
        row.system.name(),
        number(medians.ops_per_s),
        medians.ops_spread_percent,
        number(medians.p50_ms),
        number(medians.p90_ms),
        number(medians.p99_ms),
        number(medians.p999_ms),
        number(medians.cpu_us_per_op),
        number(medians.load_cpu_us_per_op),
        number(medians.rss_mib),
    )
}

/// How many times the second is in the first; nothing if there is no second.
fn ratio(first: f64, second: f64) -> String {
    if second > 0.0 { number(first / second) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{results, row, window};

    fn measured() -> Results {
        let mut spoiled = window(10_000, 5_000, 20_000, 50.0);
        spoiled.load.broken = 3;
        spoiled.load_cpu_s = 0.95;
        let mut disturbed = window(15_000, 4_000, 10_000, 100.0);
        disturbed.other_cpu_s = 0.5;
        results(vec![
            row(System::Redis, Operation::Put, 64, vec![spoiled]),
            row(System::Roundtable, Operation::Put, 64, vec![disturbed]),
        ])
    }

    #[test]
    fn glance_is_made_of_ratios() {
        let glance = glance(&measured());
        assert!(glance.ends_with("| put | Redis, WAIT 1 | 1.50 | 0.50 | 2.00 |\n"), "{glance}");
        assert_eq!(super::glance(&results(vec![])), "");
    }

    #[test]
    fn table_marks_errors_and_what_makes_a_figure_doubtful() {
        let tables = tables(&measured());
        let lines: Vec<&str> = tables.lines().filter(|line| line.starts_with("| 64 ")).collect();
        assert_eq!(
            lines,
            [
                "| 64 | Roundtable | 15,000 ‡ | 0 | 4.00 | 10.0 | 10.0 | 10.0 | 100 | 16.7 | 100 | 0 |  |  |",
                "| 64 | Redis, WAIT 1 | 10,000 † | 0 | 5.00 | 20.0 | 20.0 | 20.0 | 50.0 | 95.0 | 100 | **3** | 1.50 | 0.50 |",
            ]
        );
        assert!(tables.contains("### put, 1 KiB, uniform keys\n"), "{tables}");
    }

    #[test]
    fn each_combination_has_one_table_main_size_first() {
        let mut rows = Vec::new();
        for operation in [Operation::Get, Operation::Put] {
            for connections in [64, 1] {
                rows.push(row(System::Redis, operation, connections, vec![window(1, 1, 1, 1.0)]));
            }
        }
        let mut small = rows[0].clone();
        small.case.value_bytes = 100;
        rows.insert(0, small);
        let tables = tables(&results(rows));
        let headings: Vec<&str> = tables.lines().filter(|line| line.starts_with("###")).collect();
        let expected =
            ["### put, 1 KiB, uniform keys", "### get, 1 KiB, uniform keys", "### get, 100 B, uniform keys"];
        assert_eq!(headings, expected);
        let first = tables.find("| 1 | Redis").unwrap();
        assert!(first < tables.find("| 64 | Redis").unwrap(), "{tables}");
    }
}
