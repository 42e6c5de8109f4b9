//! One process of the cluster.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use roundtable_common::files;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child as Process, Command};

use crate::failure::Failure;
use crate::up::UpArgs;
use crate::up::binaries::Binaries;
use crate::up::layout::{Layout, Member, Role};
use crate::up::processes::ProcessEntry;

/// How long a process may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(20);

/// How much of a log's end is looked at for its last lines.
const TAIL_BYTES: u64 = 8 << 10;

/// How a process is started.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

/// One process of the cluster, its log, and how to start it again.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) member: Member,
    invocation: Invocation,
    log_file: PathBuf,
    process: Option<Process>,
}

impl Invocation {
    /// Of this node or router, with this topology file.
    pub(crate) fn new(
        member: &Member,
        args: &UpArgs,
        binaries: &Binaries,
        layout: &Layout,
        cluster_file: &Path,
    ) -> Self {
        let mut arguments: Vec<OsString> = vec!["--cluster".into(), cluster_file.into()];
        let (program, config) = match member.role {
            Role::Node => {
                arguments.extend(["--id".into(), member.id.clone().into()]);
                arguments.extend(["--data-dir".into(), layout.node_dir(&member.id).into()]);
                (&binaries.node, &args.node_config)
            }
            Role::Router => {
                arguments.extend(["--listen".into(), member.address.to_string().into()]);
                (&binaries.router, &args.router_config)
            }
        };
        if let Some(config) = config {
            arguments.extend(["--config".into(), config.into()]);
        }
        if args.insecure_listen {
            arguments.push("--insecure-listen".into());
        }
        arguments.push("--stop-on-stdin-close".into());
        Self { program: program.clone(), arguments }
    }
}

impl Child {
    /// Not yet started.
    pub(crate) fn new(member: &Member, args: &UpArgs, binaries: &Binaries, layout: &Layout) -> Self {
        let invocation = Invocation::new(member, args, binaries, layout, &layout.cluster_file());
        let log_file = layout.log_file(&member.id);
        Self { member: member.clone(), invocation, log_file, process: None }
    }

    /// Starts it, its log appended to.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let failed = |what: &Path, error| {
            Failure::io(format!("starting {}: {}", self.member.id, what.display()), error)
        };
        let log = locked_log(&self.log_file).map_err(|error| failed(&self.log_file, error))?;
        let errors = log.try_clone().map_err(|error| failed(&self.log_file, error))?;
        let process = Command::new(&self.invocation.program)
            .args(&self.invocation.arguments)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C goes to this process alone, which then stops the others in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&self.invocation.program, error))?;
        self.process = Some(process);
        Ok(())
    }

    /// Its line in `processes.json`, while it runs.
    pub(crate) fn entry(&self) -> Option<ProcessEntry> {
        let pid = self.process.as_ref()?.id()?;
        let Member { role, id, address } = self.member.clone();
        Some(ProcessEntry { role: role.name().to_owned(), id, pid, address: address.to_string() })
    }

    /// Whether it ended since the last look, and how.
    pub(crate) fn take_end(&mut self) -> Option<io::Result<ExitStatus>> {
        let status = self.process.as_mut()?.try_wait().transpose()?;
        self.process = None;
        Some(status)
    }

    /// Whether it runs, as far as is known.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn ask_to_stop(&self) {
        let pid = self.process.as_ref().and_then(Process::id).and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended by itself already.
            let _gone = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until it has stopped; kills it if that takes too long. Whether it had to be killed.
    pub(crate) async fn stopped(&mut self) -> bool {
        let Some(mut process) = self.process.take() else { return false };
        if tokio::time::timeout(STOP_MAX, process.wait()).await.is_ok() {
            return false;
        }
        // It ended just now, or it ends by this.
        let _gone = process.kill().await;
        true
    }

    /// The last lines of its log, indented; where the log is, if it cannot be read.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        match tail(&self.log_file, count) {
            Ok(lines) if lines.is_empty() => format!("  (its log {} is empty)", self.log_file.display()),
            Ok(lines) => {
                let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
                format!("{}\n  (log: {})", lines.join("\n"), self.log_file.display())
            }
            Err(error) => format!("  (its log {} cannot be read: {error})", self.log_file.display()),
        }
    }
}

/// Opens a process's log and locks it. The lock goes on to the process with the open file and ends with it, also when
/// this process is killed: so the next run knows whether it is gone.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] while a process of an earlier run has it.
pub(crate) fn locked_log(path: &Path) -> io::Result<File> {
    let log = files::private_options().create(true).append(true).open(path)?;
    log.try_lock()?;
    Ok(log)
}

/// Whether no process has this log, which need not be there.
///
/// # Errors
/// When that cannot be told.
pub(crate) fn is_log_free(path: &Path) -> io::Result<bool> {
    let log = match File::options().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    match log.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The last lines of a file.
fn tail(path: &Path, count: usize) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut end = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    let mut lines: Vec<String> = text.lines().rev().take(count).map(str::to_owned).collect();
    lines.reverse();
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_stays_locked_while_any_copy_of_the_open_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert!(is_log_free(&path).unwrap() && !path.exists(), "looking makes no log");
        let log = locked_log(&path).unwrap();
        let copy = log.try_clone().unwrap();
        drop(log);
        assert!(!is_log_free(&path).unwrap());
        assert_eq!(locked_log(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(copy);
        assert!(is_log_free(&path).unwrap());
        assert!(locked_log(&path).is_ok());
    }

    #[test]
    fn tail_is_the_last_lines_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let text: String = (0..5000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&path, text).unwrap();
        assert_eq!(tail(&path, 2).unwrap(), ["line 4998", "line 4999"]);
        std::fs::write(&path, "").unwrap();
        assert!(tail(&path, 2).unwrap().is_empty());
    }
}
