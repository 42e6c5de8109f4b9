//! A machine on which a test installs and starts services, as an operator would: see `native/machine.sh`.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::command::{Finished, checkout};
use crate::wait::eventually;

/// Where an operator's shell finds programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A real systemd in namespaces of its own. It sees this machine's files; whatever it writes, starts or listens on is
/// its own and is gone when this is dropped, or when the test ends in another way.
#[derive(Debug)]
pub struct Machine {
    keeper: Child,
    systemd: String,
}

impl Machine {
    /// Boots one. The folders are there too, read-only.
    ///
    /// # Errors
    /// When this machine, or what this process may do, does not allow it.
    ///
    /// # Panics
    /// When it does not finish booting.
    pub async fn boot(folders: &[&Path]) -> io::Result<Self> {
        let mut keeper = Command::new("unshare")
            .arg("--mount")
            .arg(checkout().join("tests/native/machine.sh"))
            .arg("start")
            .args(folders)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let machine = Self { keeper, systemd: line.trim().to_owned() };
        if machine.systemd.is_empty() {
            return Err(io::Error::other(machine.last_words()));
        }
        eventually("the machine has booted", async || {
            // "degraded" is as good: some service that this machine brings along does not like its namespaces.
            let state = machine.run("systemctl is-system-running").text();
            matches!(state.trim(), "running" | "degraded").then_some(())
        })
        .await;
        Ok(machine)
    }

    /// Runs commands on it as root.
    ///
    /// # Panics
    /// When the machine is gone.
    #[must_use]
    pub fn run(&self, commands: &str) -> Finished {
        let output = Command::new("nsenter")
            .args(["--target", &self.systemd, "--all", "env", "-i", &format!("PATH={PATH}"), "HOME=/root"])
            .args(["bash", "-euc", commands])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.into()
    }

    /// Runs commands on it as root, which must succeed, and returns what they print.
    ///
    /// # Panics
    /// When one fails.
    #[track_caller]
    pub fn must(&self, commands: &str) -> String {
        self.run(commands).must_end_with(0).text()
    }

    /// What it said when it did not start.
    fn last_words(mut self) -> String {
        drop(self.keeper.stdin.take());
        let mut words = String::new();
        if let Some(mut stderr) = self.keeper.stderr.take() {
            stderr.read_to_string(&mut words).ok();
        }
        words.trim().to_owned()
    }
}

impl Drop for Machine {
    #[expect(clippy::print_stderr, reason = "the reader of a failed test needs it")]
    fn drop(&mut self) {
        if std::thread::panicking() && !self.systemd.is_empty() {
            eprintln!("{}", self.run("journalctl --no-pager --lines 100 --output short").text());
        }
        drop(self.keeper.stdin.take());
        // It ends by itself now; either way it is gone after this.
        self.keeper.wait().ok();
    }
}
