//! `make bench-peers`: Roundtable beside etcd and Redis, on the same machine, under the same load, in one run.

mod case;
mod cli;
mod connection;
mod failure;
mod load;
mod machine;
mod matrix;
mod measure;
mod plot;
mod ports;
mod process;
mod progress;
mod report;
mod results;
mod row;
mod statistics;
mod system;
mod targets;
mod usage;
mod workload;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::case::System;
use crate::cli::{Cli, Command, RunArgs};
use crate::failure::{Doing as _, Failure};
use crate::machine::{Machine, refuse_memory};
use crate::measure::Plan;
use crate::results::{Results, Settings};
use crate::system::{Places, versions};

/// The results beside the page.
const DATA: &str = "data";

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Report { out } => {
            Results::read(&out.join(DATA)).and_then(|results| report::write(&results, &out))
        }
        Command::Drive(args) => load::driver::drive(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nowhere else to say it.
            let _shown = writeln!(std::io::stderr(), "bench-peers: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// On this thread alone: what it starts must not outlive the thread that started it.
fn run(args: &RunArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "starting the async runtime")?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).doing(|| "listening for signals")?;
        let mut terminated = signal(SignalKind::terminate()).doing(|| "listening for signals")?;
        // Whichever way this ends, dropping the run stops what it had started.
        tokio::select! {
            ended = compare(args) => ended,
            _ = interrupted.recv() => Err(Failure::new("measuring", "interrupted")),
            _ = terminated.recv() => Err(Failure::new("measuring", "told to stop")),
        }
    })
}

async fn compare(args: &RunArgs) -> Result<(), Failure> {
    let systems = args.systems();
    if systems.contains(&System::EtcdGrpc) && !cfg!(feature = "etcd-grpc") {
        return Err(Failure::new(
            "measuring etcd over gRPC",
            "this program was built without the feature etcd-grpc",
        ));
    }
    let cases = args.matrix.cases(&args.selection);
    if cases.is_empty() {
        return Err(Failure::new("choosing what to measure", "the matrix has no such case"));
    }
    let places = places(args)?;
    let out = args.out();
    let mut results = Results {
        date: report::today(),
        machine: Machine::this(&places.work_dir)?,
        versions: versions(&places),
        settings: Settings {
            matrix: args.matrix,
            is_selection: args.is_selection(),
            keys: args.keys,
            windows: args.windows,
            window_s: args.seconds,
            warmup_s: args.warmup,
            load_threads: args.threads,
        },
        rows: Vec::new(),
        notes: Vec::new(),
    };
    let data_dir = out.join(DATA);
    Plan { systems, cases, places: &places, data_dir: &data_dir }.run(&mut results).await?;
    results.write(&data_dir)?;
    report::write(&results, &out)
}

fn places(args: &RunArgs) -> Result<Places, Failure> {
    let absolute = |path: &Path| std::path::absolute(path).doing(|| format!("finding {}", path.display()));
    let work_dir = absolute(&args.work_dir)?;
    fs::create_dir_all(&work_dir).doing(|| format!("making {}", work_dir.display()))?;
    refuse_memory(&work_dir)?;
    let bin_dir = match &args.bin_dir {
        Some(folder) => folder.clone(),
        None => {
            let this = std::env::current_exe().doing(|| "finding this program")?;
            this.parent().unwrap_or(Path::new(".")).to_owned()
        }
    };
    Ok(Places { bin_dir: absolute(&bin_dir)?, config_dir: absolute(&args.config_dir)?, work_dir })
}
