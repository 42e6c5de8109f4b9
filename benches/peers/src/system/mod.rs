//! The systems: how each is started, and when it is ready.

mod etcd;
mod redis;
mod roundtable;
mod version;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::case::System;
use crate::connection::CallError;
use crate::failure::{Doing as _, Failure};
use crate::process::Processes;
pub(crate) use crate::system::version::versions;

/// How long a system may take to get ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// How often it is asked whether it is.
const READY_POLL: Duration = Duration::from_millis(50);

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Roundtable's programs.
    pub(crate) bin_dir: PathBuf,
    /// `node.toml` and `router.toml`, as they ship.
    pub(crate) config_dir: PathBuf,
    /// Where data goes while it is needed.
    pub(crate) work_dir: PathBuf,
}

/// A running system. Dropped, its processes are stopped first, then its data is deleted.
#[derive(Debug)]
pub(crate) struct Cluster {
    processes: Processes,
    /// The processes that serve.
    pub(crate) servers: Vec<u32>,
    /// Where the load goes to: the router, the leader, the primary.
    pub(crate) address: SocketAddr,
    /// All members of an etcd cluster.
    members: Vec<SocketAddr>,
    _folder: TempDir,
}

impl Cluster {
    /// Starts a fresh one and waits until it is ready.
    pub(crate) async fn start(system: System, places: &Places) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("peers-")
            .tempdir_in(&places.work_dir)
            .doing(|| format!("making a folder in {}", places.work_dir.display()))?;
        match system {
            System::Roundtable => roundtable::start(places, folder).await,
            System::EtcdGrpc | System::EtcdHttp => etcd::start(folder).await,
            System::Redis => redis::start(folder).await,
        }
    }

    /// An error if a process has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.processes.check()
    }

    /// Whether the load still goes to etcd's leader; true for systems without one.
    pub(crate) async fn still_leads(&self) -> bool {
        self.members.is_empty() || etcd::leader(&self.members).await == Ok(self.address)
    }
}

/// Asks until the answer is there.
async fn until_ready<T>(
    what: &str,
    processes: &mut Processes,
    ask: impl AsyncFn() -> Result<T, CallError>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + READY_MAX;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(obstacle) if Instant::now() >= deadline => {
                return Err(Failure::new(format!("waiting until {what} is ready"), obstacle));
            }
            Err(_not_yet) => processes.check()?,
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

/// A folder inside of another.
fn make_folder(parent: &Path, name: &str) -> Result<PathBuf, Failure> {
    let folder = parent.join(name);
    std::fs::create_dir(&folder).doing(|| format!("making {}", folder.display()))?;
    Ok(folder)
}
