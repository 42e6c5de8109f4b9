//! One real process: started, killed, frozen, started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::program;
use crate::http::Http;
use crate::namespace::Namespace;
use crate::wait::{PATIENCE, eventually};

/// Lines of its log that a failing test prints.
const LOG_LINES: usize = 60;

/// A program with its arguments, running or not. Its output goes to a log file. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    address: String,
    namespace: Option<Namespace>,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started yet; it will listen at `address` and write to `log`.
    #[must_use]
    pub fn new(name: &str, program_name: &str, arguments: Vec<String>, log: &Path, address: &str) -> Self {
        Self {
            name: name.to_owned(),
            program: program(program_name),
            arguments,
            environment: Vec::new(),
            log: log.to_owned(),
            address: address.to_owned(),
            namespace: None,
            child: None,
        }
    }

    /// Adds an environment variable from the next start on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Exchanges the arguments from the next start on.
    pub fn set_arguments(&mut self, arguments: Vec<String>) {
        self.arguments = arguments;
    }

    /// The arguments of the next start.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Exchanges the value of a flag, or adds the flag, from the next start on.
    pub fn set_flag(&mut self, flag: &str, value: &str) {
        match self.arguments.iter().position(|argument| argument == flag) {
            Some(place) => value.clone_into(&mut self.arguments[place + 1]),
            None => self.arguments.extend([flag.to_owned(), value.to_owned()]),
        }
    }

    /// Lets it run in a network of its own from the next start on, and listen at `address` there.
    pub(crate) fn move_to(&mut self, namespace: Namespace, address: String) {
        self.set_flag("--listen", &address);
        // That network is the test's alone.
        self.arguments.push("--insecure-listen".to_owned());
        self.namespace = Some(namespace);
        self.address = address;
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of it.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.address)
    }

    /// Starts it. What it writes is appended to its log.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = match &self.namespace {
            Some(namespace) => namespace.enter(|| command.spawn()),
            None => command.spawn(),
        };
        let failed = |error| panic!("{}: {}: {error}", self.name, self.program.display());
        self.child = Some(child.unwrap_or_else(failed));
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn ready(&mut self) {
        let what = format!("{} is ready", self.name);
        let http = self.http();
        eventually(&what, async || {
            let exited = self.exited();
            assert!(exited.is_none(), "{} ended with {exited:?} instead of getting ready", self.name);
            http.get("/readyz").try_send().await.ok().filter(|answer| answer.status == 200)
        })
        .await;
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name));
        Pid::from_child(child)
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is gone after this.
            child.kill().ok();
            child.wait().unwrap();
            clean_up_after_faketime(child.id());
        }
    }

    /// SIGSTOP: it holds its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                self.child = None;
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Requires that a start failed with these words, and not by a panic.
    ///
    /// # Panics
    /// When it goes on running, ends well, or says something else.
    #[track_caller]
    pub fn must_refuse_to_start(&mut self, words: &[&str]) {
        let status = self.wait();
        let log = self.log();
        assert!(!status.success(), "{log}");
        for word in words {
            assert!(log.contains(word), "{word:?} is not in: {log}");
        }
        assert!(!log.contains("panicked"), "{log}");
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// All that it wrote, over all of its starts.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Prints the end of its log: for a test that fails.
    #[expect(clippy::print_stderr, reason = "the reader of a failed test needs it")]
    pub fn print_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let skipped = lines.len().saturating_sub(LOG_LINES);
        eprintln!("--- {} ({skipped} earlier lines left out)", self.name);
        for line in lines.iter().skip(skipped) {
            eprintln!("{line}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Removes what libfaketime leaves in shared memory when its process is killed: it refuses to start where another
/// process with the same id left something.
fn clean_up_after_faketime(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Mostly there is nothing.
        std::fs::remove_file(Path::new("/dev/shm").join(name)).ok();
    }
}

/// Whether a process still runs; one that ended and was not waited for does not.
#[must_use]
pub fn is_alive(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // "pid (name) state …", and the name may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
