//! `roundtable-router`: reads its settings, listens, finds its cluster, and serves until it is told to stop.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use roundtable_common::settings::Settings;
use roundtable_common::stop::{self, StopArgs};
use roundtable_common::{cluster_file, command_line, limits, listen, telemetry};
use roundtable_consensus::Configuration;
use roundtable_router::app::App;
use roundtable_router::cli::Cli;
use roundtable_router::clock::Clock;
use roundtable_router::config::{Config, VARIABLE_PREFIX};
use roundtable_router::http::Server;
use roundtable_router::metrics::Metrics;
use roundtable_router::topology::{ClusterSeed, Seeker};
use tikv_jemallocator::Jemalloc;
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match run(command_line::parse::<Cli>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error that is closed leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "roundtable-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cluster_file::load(&cli.cluster)?;
    let settings = Settings::load(cli.config.as_deref(), VARIABLE_PREFIX, cli.flags.into_overrides())?;
    let config = Config::new(settings).context("settings")?;
    if cli.check {
        writeln!(std::io::stdout(), "{} and the settings are fine", cli.cluster.display())?;
        return Ok(());
    }
    telemetry::init(&cli.log)?;
    match limits::raise_open_files() {
        Ok(files) => info!(files, "limit of open files"),
        Err(error) => warn!(%error, "limit of open files not raised"),
    }
    let listener = listen::bind(&config.listen, cli.insecure_listen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(config.threads)
        .thread_name("router")
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(Arc::new(config), file, listener, cli.stop));
    // Connections that were cut, and names that are being resolved, must not hold the process.
    runtime.shutdown_background();
    result
}

async fn serve(
    config: Arc<Config>,
    file: Configuration,
    listener: std::net::TcpListener,
    stop: StopArgs,
) -> anyhow::Result<()> {
    let told = stop::told(stop).context("cannot listen for signals")?;
    let seed =
        ClusterSeed { config: Arc::clone(&config), clock: Clock::start(), metrics: Arc::new(Metrics::new()) };
    let (clock, metrics) = (seed.clock, Arc::clone(&seed.metrics));
    let (seeker, phase) = Seeker::new(file, seed);
    let app = Arc::new(App::new(Arc::clone(&config), clock, metrics, phase));
    let server = Server::new(app, listener, config.drain).context("cannot listen")?;
    info!(address = %server.local_addr().context("cannot listen")?, "listening");
    let seeking = tokio::spawn(seeker.run());
    let cut = server
        .run(async move {
            let reason = told.await;
            info!(reason, "told to stop");
        })
        .await;
    seeking.abort();
    if cut > 0 {
        warn!(connections = cut, "stopped; connections were cut");
    } else {
        info!("stopped");
    }
    Ok(())
}
