//! `roundtable bench`: the load driver.
//!
//! A closed loop: each connection has one request under way. Latencies are those of the requests that began after
//! the warm-up; CPU time is that of the processes between the end of the warm-up and the last answer.

mod connection;
mod cpu;
mod keys;
mod preload;
mod report;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bench::connection::Endpoint;
use crate::bench::cpu::Watched;
use crate::bench::keys::KeyChooser;
use crate::bench::report::Report;
use crate::bench::worker::{Counts, Plan, Window, worker};
use crate::connect::Routers;
use crate::duration;
use crate::failure::Failure;
use crate::output;

/// Values are cut from this many random bytes, so that they neither compress nor cost time to make.
const POOL_BYTES: usize = 1 << 20;

/// What the requests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// Writes alone
    Put,
    /// Reads alone
    Get,
    /// Reads and writes, in the share of --reads
    Mixed,
}

/// How often each key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Distribution {
    /// Every key alike
    Uniform,
    /// A few keys very often: rank r with weight 1/r^theta
    Zipfian,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What the requests do
    #[arg(long, value_enum, default_value_t = Workload::Mixed)]
    workload: Workload,

    /// The share of reads in a mixed workload, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 95, value_parser = clap::value_parser!(u8).range(0..=100))]
    reads: u8,

    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,

    /// How often each key is asked for
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    distribution: Distribution,

    /// How steep the zipfian distribution is
    #[arg(long, value_name = "X", default_value_t = 0.99)]
    theta: f64,

    /// The size of each value
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    value_bytes: u32,

    /// How many connections, each with one request under way, spread over the routers
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,

    /// How long to measure (ms, s, m, h, d)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse, conflicts_with = "ops")]
    duration: Duration,

    /// Measure this many requests, however long they take
    #[arg(long, value_name = "N")]
    ops: Option<u64>,

    /// How long to run before measuring
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration::parse)]
    warmup: Duration,

    /// Write every key once before anything is measured
    #[arg(long)]
    preload: bool,

    /// What all keys begin with
    #[arg(long, value_name = "TEXT", default_value = "bench/")]
    key_prefix: String,

    /// The same seed gives the same keys and values
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// How many threads drive the connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// A processes.json: CPU time and memory of these processes are reported
    #[arg(long, value_name = "PATH")]
    processes: Option<PathBuf>,

    /// The folder of `roundtable up`, for its processes.json
    #[arg(long, value_name = "DIR", conflicts_with = "processes")]
    data_dir: Option<PathBuf>,

    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    routers: Routers,
}

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
    runtime.block_on(drive(args))
}

async fn drive(args: &BenchArgs) -> Result<(), Failure> {
    let endpoints =
        args.routers.addresses.iter().map(|router| Endpoint::parse(router)).collect::<Result<_, _>>()?;
    let keys = KeyChooser::new(&args.key_prefix, args.keys, args.distribution, args.theta)?;
    let pool = random_pool(args);
    let list =
        args.processes.clone().or_else(|| args.data_dir.as_ref().map(|dir| dir.join("processes.json")));
    let watched = Watched::new(list.as_deref())?;
    let plan = Arc::new(Plan {
        endpoints,
        keys,
        pool,
        value_bytes: usize::try_from(args.value_bytes).unwrap_or(usize::MAX),
        reads_percent: match args.workload {
            Workload::Put => 0,
            Workload::Get => 100,
            Workload::Mixed => args.reads,
        },
        seed: args.seed,
    });
    if args.preload {
        preload::run(&plan, args.keys, args.connections).await?;
    }
    let report = measure(args, &plan, &watched).await?;
    if args.json {
        let line = serde_json::to_string(&report).map_err(|error| Failure::Other(error.to_string()))?;
        return output::print_line(&line);
    }
    output::print(report.render().as_bytes())
}

async fn measure(args: &BenchArgs, plan: &Arc<Plan>, watched: &Watched) -> Result<Report, Failure> {
    let measure_from = Instant::now() + args.warmup;
    let until = args.ops.is_none().then(|| measure_from + args.duration);
    let window = Arc::new(Window { measure_from, until, budget: args.ops.map(AtomicU64::new) });
    let mut workers = JoinSet::new();
    for number in 0..u64::from(args.connections) {
        workers.spawn(worker(Arc::clone(plan), Arc::clone(&window), number));
    }
    tokio::time::sleep_until(measure_from).await;
    let before = watched.sample();
    let mut counts = Counts::new();
    while let Some(joined) = workers.join_next().await {
        match joined {
            Ok(of_one) => counts.add(&of_one),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    let seconds = measure_from.elapsed().as_secs_f64();
    let after = watched.sample();
    if counts.answered() == 0 {
        let why = counts.errors.keys().next().map_or("nothing was measured", String::as_str);
        return Err(Failure::NotReady(format!("no request succeeded: {why}")));
    }
    Ok(Report::new(args, seconds, &counts, watched.used(&before, &after)))
}

fn random_pool(args: &BenchArgs) -> Bytes {
    let length = POOL_BYTES + usize::try_from(args.value_bytes).unwrap_or(0);
    let mut pool = vec![0; length];
    StdRng::seed_from_u64(args.seed).fill_bytes(&mut pool);
    pool.into()
}
