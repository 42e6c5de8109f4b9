//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::case::System;
use crate::load::driver::DriveArgs;
use crate::matrix::{Matrix, Selection};

/// Roundtable beside etcd and Redis: the same load on each, one after the other
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure, then write the page
    // What is said last counts: `make bench-peers` says some of it, its ARGS come after.
    #[command(args_override_self = true)]
    Run(RunArgs),
    /// Write the page again from the results of an earlier run
    Report {
        /// The folder with the page
        #[arg(long, default_value = DOCUMENTS)]
        out: PathBuf,
    },
    /// Put load on a system that doesn't speak HTTP: `run` starts this by itself
    #[command(hide = true)]
    Drive(DriveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Only these systems
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) systems: Vec<System>,
    /// How much is measured
    #[arg(long, value_enum, default_value_t = Matrix::Standard)]
    pub(crate) matrix: Matrix,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long each window is, in seconds
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// How many windows each case has; every figure is their median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) windows: u32,
    /// How long each case runs before its first window, in seconds
    #[arg(long, default_value_t = 1)]
    pub(crate) warmup: u32,
    /// How many keys
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) keys: u32,
    /// How many threads the load tool has
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// Where the page goes. A run of the whole standard matrix goes into the documents, others to data/benchmarks
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Where the systems keep their data meanwhile: on the disk that is to be measured
    #[arg(long, default_value = "data")]
    pub(crate) work_dir: PathBuf,
    /// Where roundtable, roundtable-node and roundtable-router are (default: beside this program)
    #[arg(long, env = "ROUNDTABLE_BIN_DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Where node.toml and router.toml are
    #[arg(long, default_value = "config")]
    pub(crate) config_dir: PathBuf,
}

/// Where the page of a whole run goes.
const DOCUMENTS: &str = "docs/benchmarks";

/// Where others go, which are not kept.
const SCRATCH: &str = "data/benchmarks";

impl RunArgs {
    /// Whether something is left out of the standard matrix.
    pub(crate) fn is_selection(&self) -> bool {
        self.matrix == Matrix::Quick || !self.systems.is_empty() || !self.selection.is_everything()
    }

    /// The folder of the page: a partial run does not overwrite a whole one unless told to.
    pub(crate) fn out(&self) -> PathBuf {
        let default = if self.is_selection() { SCRATCH } else { DOCUMENTS };
        self.out.clone().unwrap_or_else(|| default.into())
    }

    /// The systems, in the order in which they are measured.
    pub(crate) fn systems(&self) -> Vec<System> {
        let all = [System::Roundtable, System::EtcdGrpc, System::EtcdHttp, System::Redis];
        let wanted = |system: &System| self.systems.is_empty() || self.systems.contains(system);
        all.into_iter().filter(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_args(words: &str) -> RunArgs {
        let words = ["peers", "run"].into_iter().chain(words.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_whole_run_goes_into_the_documents() {
        assert_eq!(run_args("").out(), PathBuf::from(DOCUMENTS));
        assert_eq!(run_args("--matrix full").out(), PathBuf::from(DOCUMENTS));
        for partial in ["--matrix quick", "--systems redis", "--operations put", "--connections 64"] {
            assert_eq!(run_args(partial).out(), PathBuf::from(SCRATCH), "{partial}");
        }
        assert_eq!(run_args("--matrix quick --out x").out(), PathBuf::from("x"));
    }

    #[test]
    fn systems_are_measured_in_a_fixed_order() {
        let args = run_args("--systems redis,roundtable --connections 1,64");
        assert_eq!(args.systems(), [System::Roundtable, System::Redis]);
        assert_eq!(run_args("").systems().len(), 4);
    }
}
