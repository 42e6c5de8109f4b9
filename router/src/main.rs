//! `roundtable-router`: reads its settings, listens, finds its cluster, and serves until it is told to stop.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use roundtable_common::{cluster_file, limits, listen, telemetry};
use roundtable_consensus::Configuration;
use roundtable_router::app::App;
use roundtable_router::args::Args;
use roundtable_router::clock::Clock;
use roundtable_router::config::Config;
use roundtable_router::http::Server;
use roundtable_router::metrics::Metrics;
use roundtable_router::topology::{ClusterSeed, Seeker};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error that is closed leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "roundtable-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let config = args.to_config()?;
    let file = cluster_file::load(&args.cluster)?;
    if args.check {
        writeln!(std::io::stdout(), "the settings and {} are accepted", args.cluster.display())?;
        return Ok(());
    }
    telemetry::init(&args.log)?;
    match limits::raise_open_files() {
        Ok(files) => info!(files, "limit of open files"),
        Err(error) => warn!(%error, "limit of open files not raised"),
    }
    let listener = listen::bind(&config.listen, args.insecure_listen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("router")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(Arc::new(config), file, listener))
}

async fn serve(
    config: Arc<Config>,
    file: Configuration,
    listener: std::net::TcpListener,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
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
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
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
