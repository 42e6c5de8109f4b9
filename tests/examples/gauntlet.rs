//! Runs the gauntlet for a chosen time: `make gauntlet SECONDS=300 SEED=7`.
//!
//! Takes the time in seconds and, if one is to be run again, the seed.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roundtable_tests::Gauntlet;

#[expect(clippy::print_stdout, reason = "the report is for whoever called it")]
#[tokio::main]
async fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let (seconds, seed) = match numbers.as_deref() {
        Ok([seconds]) => (*seconds, seed_from_clock()),
        Ok([seconds, seed]) => (*seconds, *seed),
        _ => {
            println!("usage: gauntlet SECONDS [SEED]");
            return ExitCode::from(2);
        }
    };
    println!(
        "gauntlet: seed {seed}, {seconds} s; to run it again: make gauntlet SECONDS={seconds} SEED={seed}"
    );
    let length = Duration::from_secs(seconds);
    let report = Gauntlet { seed, length, ..Gauntlet::default() }.run().await;
    println!("{report}");
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Another one each time, short enough to be typed.
fn seed_from_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() % 1_000_000)
}
