//! `make sim`: plays seeds until one fails or the time is over.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use roundtable_simulation::{Plan, Variant, run};

/// Plays whole clusters from seeds and holds them against every property
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Play this seed only
    #[arg(long)]
    seed: Option<u64>,
    /// The first seed of a long run
    #[arg(long, default_value_t = 1_000)]
    from: u64,
    /// How long to play new seeds, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Break the cluster on purpose
    #[arg(long, default_value_t = Variant::Sound)]
    variant: Variant,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    if let Some(seed) = args.seed {
        return Ok(if play(&mut out, seed, args.variant)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let started = Instant::now();
    let mut seed = args.from;
    while started.elapsed() < Duration::from_secs(args.seconds) {
        if !play(&mut out, seed, args.variant)? {
            writeln!(out, "replay with: make sim SEED={seed}")?;
            return Ok(ExitCode::FAILURE);
        }
        seed += 1;
    }
    writeln!(out, "{} seeds from {} held every property", seed - args.from, args.from)?;
    Ok(ExitCode::SUCCESS)
}

/// Plays a seed in each of its plans, with the seed told first.
fn play(out: &mut impl Write, seed: u64, variant: Variant) -> std::io::Result<bool> {
    for (name, plan) in Plan::all(seed) {
        write!(out, "seed {seed} {name}: ")?;
        out.flush()?;
        match run(Plan { variant, ..plan }) {
            Ok(report) => writeln!(out, "{report}")?,
            Err(violation) => {
                writeln!(out, "{violation}")?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
