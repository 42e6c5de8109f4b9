//! Runs the gauntlet for a chosen time: `make gauntlet SECONDS=300 SEED=7`.
//!
//! Takes the time in seconds, the seed if one is to be run again, and `loopback` if it is to do without network
//! namespaces.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roundtable_tests::Gauntlet;

#[expect(clippy::print_stdout, reason = "the report is for whoever called it")]
fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let namespaces = arguments.pop_if(|last| last == "loopback").is_none();
    let numbers: Result<Vec<u64>, _> = arguments.iter().map(|text| text.parse()).collect();
    let (seconds, seed) = match numbers.as_deref() {
        Ok([seconds]) => (*seconds, seed_from_clock()),
        Ok([seconds, seed]) => (*seconds, *seed),
        _ => {
            println!("usage: gauntlet SECONDS [SEED] [loopback]");
            return ExitCode::from(2);
        }
    };
    println!(
        "gauntlet: seed {seed}, {seconds} s; to run it again: make gauntlet SECONDS={seconds} SEED={seed}"
    );
    let length = Duration::from_secs(seconds);
    let report = Gauntlet { seed, length, namespaces, ..Gauntlet::default() }.run();
    println!("{report}");
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Another one each time, short enough to be typed.
fn seed_from_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() % 1_000_000)
}
