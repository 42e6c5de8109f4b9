//! Load on a system: a closed loop over some connections, by a process of its own, so that its processor time is told
//! apart.

pub(crate) mod driver;
mod preload;
mod report;
mod requests;
mod wrk;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::case::{Case, System};
use crate::failure::{Doing as _, Failure};
use crate::load::driver::DriveArgs;
pub(crate) use crate::load::preload::preload;
pub(crate) use crate::load::report::LoadReport;
use crate::load::requests::RequestFiles;
use crate::workload::{Workload, draws};

/// Puts one system under load, case by case.
#[derive(Debug)]
pub(crate) struct Load {
    system: System,
    address: SocketAddr,
    keys: u32,
    threads: u32,
    folder: PathBuf,
    /// For the systems that `wrk` drives.
    requests: Option<RequestFiles>,
}

impl Load {
    /// On the system at this address; files for the load tool go into the folder.
    pub(crate) fn new(
        system: System,
        address: SocketAddr,
        workload: &Workload,
        threads: u32,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let requests = match system.speaks_http() {
            true => Some(RequestFiles::write(system, address, workload, folder)?),
            false => None,
        };
        Ok(Self { system, address, keys: workload.keys(), threads, folder: folder.to_owned(), requests })
    }

    /// Runs the load once, for whole seconds.
    pub(crate) async fn run(&self, case: &Case, seconds: u32) -> Result<LoadReport, Failure> {
        let draws_file = self.folder.join("draws.txt");
        let lines: String = draws(case, self.keys)?.iter().map(|number| format!("{number}\n")).collect();
        std::fs::write(&draws_file, lines).doing(|| format!("writing {}", draws_file.display()))?;
        // A thread without a connection would be refused by wrk.
        let threads = self.threads.min(case.connections);
        let mut command = match &self.requests {
            Some(requests) => wrk::command(self.address, case, threads, seconds, requests, &draws_file),
            None => self.driver(case, threads, seconds, &draws_file)?,
        };
        let running = || format!("loading {} ({})", self.system.name(), case.describe());
        let ran = command.stdin(Stdio::null()).kill_on_drop(true).output().await.doing(running)?;
        if !ran.status.success() {
            let errors = String::from_utf8_lossy(&ran.stderr);
            return Err(Failure::new(running(), format!("{}: {}", ran.status, errors.trim())));
        }
        LoadReport::parse(&String::from_utf8_lossy(&ran.stdout)).doing(running)
    }

    /// This program again, as a driver.
    fn driver(&self, case: &Case, threads: u32, seconds: u32, draws: &Path) -> Result<Command, Failure> {
        let program = std::env::current_exe().doing(|| "finding this program")?;
        let arguments = DriveArgs {
            system: self.system,
            address: self.address,
            keys: self.keys,
            value_bytes: case.value_bytes,
            put_every: case.operation.put_every(),
            connections: case.connections,
            threads,
            seconds,
            draws: draws.to_owned(),
        };
        let mut command = Command::new(program);
        command.arg("drive").args(arguments.to_words());
        Ok(command)
    }
}
