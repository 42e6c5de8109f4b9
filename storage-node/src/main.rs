//! The storage node's binary: reads the command line, starts the node, waits for a signal.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use roundtable_common::settings::Settings;
use roundtable_common::{cluster_file, command_line, limits, stop, telemetry};
use roundtable_node::cli::Cli;
use roundtable_node::config::{Config, VARIABLE_PREFIX};
use roundtable_node::run::{Running, Start};
use tikv_jemallocator::Jemalloc;
use tokio::runtime;

/// Time for scans under way, which cannot be cut off, to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match run(command_line::parse::<Cli>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not be set up, and an operator looks at the last line.
            #[expect(clippy::print_stderr, reason = "the command's own message")]
            {
                eprintln!("roundtable-node: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cluster_file::load(&cli.cluster)?;
    let settings = Settings::load(cli.config.as_deref(), VARIABLE_PREFIX, cli.flags.into_overrides())?;
    let config = Config::new(settings).context("settings")?;
    anyhow::ensure!(
        file.member(&cli.id).is_some() || !cli.check,
        "{} has no node {}",
        cli.cluster.display(),
        cli.id
    );
    if cli.check {
        #[expect(clippy::print_stdout, reason = "the command's own output")]
        {
            println!("{} and the settings are fine", cli.cluster.display());
        }
        return Ok(());
    }
    telemetry::init(&cli.log)?;
    match limits::raise_open_files() {
        Ok(open_files_max) => tracing::debug!(open_files_max, "limit of open files raised"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(config.http_threads)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let start =
        Start { id: cli.id, data_dir: cli.data_dir, file, config, insecure_listen: cli.insecure_listen };
    let result = runtime.block_on(async {
        let told = stop::told(cli.stop).context("cannot listen for signals")?;
        let running = Running::start(start)?;
        let stop = async {
            let reason = told.await;
            tracing::info!(reason, "told to stop");
        };
        running.run(stop).await.map_err(anyhow::Error::from)
    });
    // Drops connections that were cut off, and with the last of them the store: it must be closed before the
    // process takes itself down.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}
