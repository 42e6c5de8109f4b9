//! `roundtable bench`: the load driver.
//!
//! A closed loop, in which each connection has one request under way, or an open one, in which requests are due at a
//! fixed rate. Latencies are those of the requests that began, or were due, after the warm-up; CPU time is that of the
//! processes between the end of the warm-up and the last answer.
//!
//! The driver runs beside what it measures, so it is kept light: one thread, no allocation for each request but in
//! errors, one write and one read of a socket.

mod args;
mod arrivals;
mod backlog;
mod cleanup;
mod connection;
mod created;
mod dispatch;
mod inserts;
mod interval;
mod keys;
mod measure;
mod median;
mod plan;
mod preload;
mod recorder;
mod render;
mod report;
mod request;
mod response;
mod session;
mod usage;
mod warnings;
mod window;
mod worker;
mod workload;

use std::sync::Arc;

pub(crate) use crate::bench::args::BenchArgs;
use crate::bench::measure::measure;
use crate::bench::median::median;
use crate::bench::plan::Plan;
use crate::bench::render::summary;
use crate::bench::report::Report;
use crate::bench::usage::Watched;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;

/// Runs the load on a runtime of its own, with as many threads as asked for.
pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let mut builder = match args.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .worker_threads(usize::from(args.threads))
        .enable_all()
        .build()
        .map_err(|error| Failure::io("starting the async runtime", error))?;
    let ended = runtime.block_on(drive(args));
    // The clock of an open loop that was ended early must not hold the process.
    runtime.shutdown_background();
    ended
}

/// Measures, and removes what the load wrote, also after a failure or a signal.
async fn drive(args: &BenchArgs) -> Result<(), Failure> {
    let plan = Arc::new(Plan::new(args)?);
    let mut signals = Signals::listen()?;
    let ended = tokio::select! {
        ended = measure_all(args, &plan) => ended,
        () = signals.next() => Err(Failure::Interrupted("interrupted: the measurement has no result".to_owned())),
    };
    if !args.keep {
        tokio::select! {
            () = cleanup::run(args, &plan) => {}
            () = signals.next() => output::note("interrupted: keys are left"),
        }
    }
    ended
}

/// Every number of connections in turn, and that as often as asked for: what changes on the machine in the meantime
/// then hits all of them.
async fn measure_all(args: &BenchArgs, plan: &Arc<Plan>) -> Result<(), Failure> {
    let list =
        args.processes.clone().or_else(|| args.data_dir.as_ref().map(|dir| dir.join("processes.json")));
    let watched = Watched::new(list.as_deref())?;
    if args.preload {
        preload::run(plan, args.connections.iter().copied().max().unwrap_or(1)).await?;
    }
    let mut reports: Vec<Vec<Report>> = vec![Vec::new(); args.connections.len()];
    for run in 1..=args.runs {
        for (connections, reports) in args.connections.iter().zip(&mut reports) {
            let measured = measure(args, plan, &watched, *connections, run).await?;
            let report = Report::new(args, &plan.shape, *connections, run, measured);
            show(args, &report)?;
            reports.push(report);
        }
    }
    conclude(args, &reports)
}

/// The medians, and in text a table of all numbers of connections.
fn conclude(args: &BenchArgs, reports: &[Vec<Report>]) -> Result<(), Failure> {
    let results: Vec<Report> = reports.iter().filter_map(|of_one| median(of_one)).collect();
    if args.runs > 1 {
        for result in &results {
            show(args, result)?;
        }
    }
    if results.len() > 1 && !args.json {
        output::print(summary(&results).as_bytes())?;
    }
    Ok(())
}

fn show(args: &BenchArgs, report: &Report) -> Result<(), Failure> {
    if args.json { output::print_json(report) } else { output::print_line(&report.render()) }
}
