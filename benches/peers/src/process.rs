//! Processes of the systems that are measured: none outlives this one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Doing as _, Failure};

/// How long a process may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(20);

/// How many lines of a log a failure shows.
const LOG_LINES: usize = 15;

/// Processes that are stopped together when this is dropped, whatever the reason.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Processes {
    /// Starts one more, its output in `folder/NAME.log`; returns its process id.
    ///
    /// `setpriv` (util-linux) makes the kernel stop it when this process dies, even by SIGKILL.
    pub(crate) fn start<I, S>(
        &mut self,
        name: &str,
        program: &Path,
        arguments: I,
        folder: &Path,
    ) -> Result<u32, Failure>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let starting = || format!("starting {name} ({})", program.display());
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).doing(starting)?;
        let errors = output.try_clone().doing(starting)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .doing(starting)?;
        let pid = child.id();
        self.running.push(Running { name: name.to_owned(), child, log });
        Ok(pid)
    }

    /// An error, with the end of its log, if one has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        for running in &mut self.running {
            let name = &running.name;
            if let Some(status) = running.child.try_wait().doing(|| format!("looking at {name}"))? {
                let log = fs::read_to_string(&running.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
                let last: Vec<String> = last.map(|line| format!("\n  {line}")).collect();
                return Err(Failure::new(format!("running {name}"), format!("{status}{}", last.concat())));
            }
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for running in &self.running {
            let pid = i32::try_from(running.child.id()).ok().and_then(Pid::from_raw);
            // Not waited for yet, so the id is still this child's, also if it has ended.
            let _gone = pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        let deadline = Instant::now() + STOP_MAX;
        for running in &mut self.running {
            while matches!(running.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Neither does anything to a child that has ended.
            let _killed = running.child.kill();
            let _waited = running.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn dropped_processes_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        let start = |processes: &mut Processes, name: &str| {
            processes.start(name, Path::new("sleep"), ["60"], folder.path()).unwrap()
        };
        let pids = [start(&mut processes, "a"), start(&mut processes, "b")];
        processes.check().unwrap();
        assert!(pids.into_iter().all(is_alive));
        drop(processes);
        assert!(!pids.into_iter().any(is_alive));
    }

    #[test]
    fn ended_process_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        let script = ["-c", "echo the disk is on fire; exit 3"];
        processes.start("a", Path::new("sh"), script, folder.path()).unwrap();
        let failure = loop {
            if let Err(failure) = processes.check() {
                break failure.to_string();
            }
            std::thread::yield_now();
        };
        assert!(failure.contains("running a") && failure.contains("the disk is on fire"), "{failure}");
    }

    #[test]
    fn program_that_is_not_there_shows_in_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        processes.start("a", Path::new("/nonexistent/program"), [""; 0], folder.path()).unwrap();
        let failure = loop {
            if let Err(failure) = processes.check() {
                break failure.to_string();
            }
            std::thread::yield_now();
        };
        assert!(failure.contains("/nonexistent/program"), "{failure}");
    }
}
