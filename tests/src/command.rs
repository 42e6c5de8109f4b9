//! Programs that are run to their end.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Requires an exit code.
    ///
    /// # Panics
    /// When it was another one, printing what the program said.
    #[track_caller]
    pub fn must_end_with(self, code: i32) -> Self {
        let said = format!("stdout: {}\nstderr: {}", self.text(), self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        self
    }
}

/// The checkout whose test runs: above the package's folder, in which cargo starts its tests. It is not the
/// folder that was compiled in, which is another one when checkouts share a target directory.
///
/// # Panics
/// When there is no working directory.
#[must_use]
pub fn checkout() -> PathBuf {
    std::env::current_dir().unwrap().parent().unwrap().to_owned()
}

/// Where a program of this workspace lies: beside the folder of the test that runs.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap().join(name);
    assert!(
        built.exists(),
        "{} is missing: run `make e2e`, which builds the programs first",
        built.display()
    );
    built
}

/// Runs a program of this workspace to its end.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run(name: &str, arguments: &[&str]) -> Finished {
    run_with_input(name, arguments, b"")
}

/// Runs a program of this workspace to its end with these bytes as its standard input.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run_with_input(name: &str, arguments: &[&str], input: &[u8]) -> Finished {
    let mut child = Command::new(program(name))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that ends early does not read all of its input: that is no failure of the harness.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    output.into()
}
