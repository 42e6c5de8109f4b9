//! `roundtable up`: a cluster on this machine.
//!
//! The nodes and routers are children of this process. Each has the reading end of a pipe as its standard input and
//! stops when the pipe ends (`--stop-on-stdin-close`): the system closes the pipe whatever way this process ends, so
//! the children never outlive it.

mod binaries;
mod check;
mod child;
mod earlier;
mod layout;
mod lock;
mod ports;
pub(crate) mod processes;
mod ready;
mod supervisor;
mod topology;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use roundtable_common::listen::HostPort;

use crate::duration;
use crate::failure::Failure;
use crate::output;
use crate::up::binaries::Binaries;
use crate::up::layout::Layout;
use crate::up::lock::Lock;
use crate::up::supervisor::Supervisor;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// How many storage nodes, for a new folder [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: Option<u16>,

    /// How many routers; each further one listens one port higher
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    routers: u16,

    /// The folder that keeps the data, the logs, cluster.toml and processes.json
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,

    /// Where the first router listens; in a new folder the nodes get the same host
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7400")]
    listen: HostPort,

    /// Node 1 listens one port above this, node 2 two above, and so on; for a new folder [default: 7410]
    #[arg(long, value_name = "PORT")]
    node_port: Option<u16>,

    /// How many nodes hold each key, for a new folder (default 3, or all nodes if there are fewer)
    #[arg(long, value_name = "N")]
    replication_factor: Option<u16>,

    /// A node.toml for every node
    #[arg(long, value_name = "PATH")]
    node_config: Option<PathBuf>,

    /// A router.toml for every router
    #[arg(long, value_name = "PATH")]
    router_config: Option<PathBuf>,

    /// Where roundtable-node and roundtable-router are (default: beside this program)
    #[arg(long, value_name = "DIR", env = "ROUNDTABLE_BIN_DIR")]
    bin_dir: Option<PathBuf>,

    /// Listen on other addresses than loopback, where anyone may read and write
    #[arg(long)]
    insecure_listen: bool,

    /// Start a process again when it ends by itself
    #[arg(long)]
    restart: bool,

    /// How long the cluster may take to get ready
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    ready_timeout: Duration,
}

pub(crate) async fn run(args: UpArgs) -> Result<(), Failure> {
    let binaries = Binaries::find(args.bin_dir.as_deref())?;
    // A folder that is there may be in use. One that is not is made once all that can be checked was checked, so that
    // an `up` that fails leaves nothing behind that a later one would have to obey.
    let held = if args.data_dir.is_dir() { Some(Lock::take(&args.data_dir)?) } else { None };
    let layout = Layout::plan(&args)?;
    check::settings(&args, &binaries, &layout).await?;
    earlier::wait(&layout).await?;
    ports::check(&layout, args.insecure_listen)?;
    let _lock = held.map_or_else(|| Lock::take(&args.data_dir), Ok)?;
    layout.write()?;
    processes::remove(&layout)?;
    let mut supervisor = Supervisor::start(&args, &binaries, layout)?;
    let ended = supervisor.run(args.ready_timeout).await;
    supervisor.stop().await;
    if ended.is_ok() {
        output::note("stopped");
    }
    ended
}
