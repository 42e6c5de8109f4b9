//! Network namespaces: networks of the kernel's own that only this test sees.
//!
//! A namespace here has no name. It lives as long as something is open in it, so nothing of it outlasts the test and
//! the processes that it started, however they end.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// One network: interfaces, addresses, routes and connections apart from the machine's.
#[derive(Debug, Clone)]
pub(crate) struct Namespace(Arc<File>);

impl Namespace {
    /// A new one, in which nothing is up.
    ///
    /// # Errors
    /// When this machine, or what this process may do, does not allow it.
    pub(crate) fn new() -> io::Result<Self> {
        // It echoes a byte when it is inside, and ends when the namespace has been opened here.
        let mut holder = piped(Command::new("unshare").args(["--net", "cat"])).spawn()?;
        let mut greeting = || -> io::Result<()> {
            holder.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(b"\n"))?;
            holder.stdout.as_mut().map_or(Ok(()), |stdout| stdout.read_exact(&mut [0]))
        };
        let greeted = greeting();
        let opened = File::open(format!("/proc/{}/ns/net", holder.id()));
        // Closes its input, which ends it.
        let output = holder.wait_with_output()?;
        greeted.map_err(|_| said(&output.stderr))?;
        Ok(Self(Arc::new(opened?)))
    }

    /// Does some work in a thread inside. Sockets that it makes and threads and processes that it starts stay inside.
    ///
    /// # Panics
    /// When the work does.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        let ended = std::thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Gives lines of commands to `ip` or `tc` inside.
    ///
    /// # Errors
    /// When the tool cannot be started or refuses a line, with what it said.
    pub(crate) fn run(&self, tool: &str, lines: &[String]) -> io::Result<()> {
        let output = self.enter(|| -> io::Result<_> {
            let mut child = piped(Command::new(tool).args(["-batch", "-"])).spawn()?;
            child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(lines.join("\n").as_bytes()))?;
            child.wait_with_output()
        });
        let output = output.map_err(|error| io::Error::other(format!("{tool}: {error}")))?;
        if output.status.success() { Ok(()) } else { Err(said(&output.stderr)) }
    }

    /// Where other programs find it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn said(words: &[u8]) -> io::Error {
    let lines = String::from_utf8_lossy(words);
    io::Error::other(lines.lines().collect::<Vec<_>>().join("; "))
}
