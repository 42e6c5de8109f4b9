//! The options of `roundtable bench`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::connect::Routers;
use crate::duration;

/// What the requests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Writes alone
    Put,
    /// Reads alone
    Get,
    /// Reads and writes, in the share of --reads
    Mixed,
    /// YCSB A: 50 % reads, 50 % writes, zipfian
    YcsbA,
    /// YCSB B: 95 % reads, 5 % writes, zipfian
    YcsbB,
    /// YCSB C: reads alone, zipfian
    YcsbC,
    /// YCSB D: 95 % reads of the latest keys, 5 % inserts
    YcsbD,
    /// YCSB E: 95 % scans of 1 to 100 keys from a zipfian one on, 5 % inserts
    YcsbE,
    /// YCSB F: 50 % reads, 50 % read-modify-writes by compare-and-set, zipfian
    YcsbF,
}

/// How often each key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Distribution {
    /// Every key alike
    Uniform,
    /// A few keys very often, scattered over all: rank r with weight 1/r^theta
    Zipfian,
    /// The newest keys very often: the r-th newest with weight 1/r^theta
    Latest,
    /// One key alone
    Hot,
}

/// When the requests of an open loop are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrivals {
    /// The same time apart
    Constant,
    /// As from many independent users: exponentially distributed times apart
    Poisson,
}

/// The options.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// What the requests do
    #[arg(long, value_enum, default_value_t = Workload::Mixed)]
    pub(crate) workload: Workload,

    /// The share of reads in a mixed workload, in percent [default: 95]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) reads: Option<u8>,

    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) keys: u64,

    /// How often each key is asked for [default: uniform, or the workload's own]
    #[arg(long, value_enum)]
    pub(crate) distribution: Option<Distribution>,

    /// How steep the zipfian and the latest distribution are [default: 0.99]
    #[arg(long, value_name = "X")]
    pub(crate) theta: Option<f64>,

    /// The size of each value [default: 100, or 1000 with YCSB's workloads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub(crate) value_bytes: Option<u32>,

    /// How many connections, each with one request under way, spread over the routers; several numbers, separated
    /// by commas, are measured one after the other
    #[arg(long, value_name = "N", default_value = "32", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: Vec<u16>,

    /// Open loop: so many requests are due each second, whether earlier ones were answered or not, and latency
    /// counts from the moment when a request was due
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,

    /// When the requests of an open loop are due [default: constant]
    #[arg(long, value_enum, requires = "rate")]
    pub(crate) arrivals: Option<Arrivals>,

    /// How long to measure (ms, s, m, h, d)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse, conflicts_with = "ops")]
    pub(crate) duration: Duration,

    /// Measure this many requests, however long they take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ops: Option<u64>,

    /// How long to run before measuring
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration::parse)]
    pub(crate) warmup: Duration,

    /// Measure so many times, and tell the medians too
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,

    /// Print a line each time this long while measuring: rate, latency, and the memory of each process
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) interval: Option<Duration>,

    /// Write every key once before anything is measured
    #[arg(long)]
    pub(crate) preload: bool,

    /// Leave the keys that this run made, for further runs; otherwise they are removed in the end, for up to a minute
    #[arg(long)]
    pub(crate) keep: bool,

    /// What all keys begin with
    #[arg(long, value_name = "TEXT", default_value = "bench/")]
    pub(crate) key_prefix: OsString,

    /// The same seed gives the same keys and values
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many threads drive the connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,

    /// A processes.json: CPU time and memory of these processes are reported
    #[arg(long, value_name = "PATH")]
    pub(crate) processes: Option<PathBuf>,

    /// The folder of `roundtable up`, for its processes.json
    #[arg(long, value_name = "DIR", conflicts_with = "processes")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Print each result as one JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) routers: Routers,
}
