//! The command line of Roundtable: a local cluster, keys and values, import and export, a load driver.

mod bench;
mod cli;
mod commands;
mod connect;
mod duration;
mod exit;
mod failure;
mod json;
mod output;
mod signals;
mod transfer;
mod up;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = roundtable_common::command_line::parse::<Cli>();
    match run(cli.command) {
        Ok(()) => exit::Exit::Success.into(),
        Err(failure) => {
            if !failure.is_closed_pipe() {
                output::note(&failure.to_string());
            }
            failure.exit().into()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Bench(args) => return bench::run(&args),
        Command::NewKey => return commands::new_key::run(),
        Command::Completions(args) => return commands::completions::run(&args),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::io("starting the async runtime", error))?;
    let ended = runtime.block_on(async {
        match command {
            Command::Up(args) => up::run(args).await,
            Command::Get(args) => commands::get::run(args).await,
            Command::Put(args) => commands::put::run(args).await,
            Command::Delete(args) => commands::delete::run(args).await,
            Command::Increment(args) => commands::increment::run(args).await,
            Command::Touch(args) => commands::touch::run(args).await,
            Command::List(args) => commands::list::run(args).await,
            Command::Import(args) => transfer::import::run(args).await,
            Command::Export(args) => transfer::export::run(args).await,
            Command::Status(args) => commands::status::run(args).await,
            Command::Where(args) => commands::locate::run(args).await,
            Command::Bench(_) | Command::NewKey | Command::Completions(_) => Ok(()),
        }
    });
    // A thread that waits for a pipe must not hold the process.
    runtime.shutdown_background();
    ended
}
