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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::case::{Distribution, Operation};

    /// Acknowledges every write and knows no key.
    async fn forgetful_router(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    // One request is under way at a time, and each fits into a packet.
                    let answer = match &buffer[..length] {
                        [b'P', b'U', b'T', ..] => "HTTP/1.1 204 No Content\r\n\r\n",
                        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                    };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    }

    #[tokio::test]
    async fn wrk_sends_the_mix_and_reports_every_status() {
        if std::process::Command::new("wrk").arg("-v").output().is_err() {
            // It comes with `make bench-peers`; nobody else needs it.
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(forgetful_router(listener));
        let folder = tempfile::tempdir().unwrap();
        let load = Load::new(System::Roundtable, address, &Workload::new(10, 100), 1, folder.path()).unwrap();
        let case = Case {
            value_bytes: 100,
            operation: Operation::Mixed,
            distribution: Distribution::Uniform,
            connections: 2,
        };
        let report = load.run(&case, 1).await.unwrap();
        // wrk makes the first request of its script once more before the load, to look at it.
        let writes = report.answered - report.refused;
        assert!(report.answered > 40 && report.broken == 0, "{report:?}");
        assert!(writes.abs_diff(report.answered / 20) <= 2, "{report:?}");
        assert!(
            report.p50_us > 0 && report.p50_us <= report.p999_us && report.duration_us >= 900_000,
            "{report:?}"
        );
    }
}
