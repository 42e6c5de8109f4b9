//! libfaketime of the distribution, which makes the clock of a single process wrong.

use std::path::{Path, PathBuf};

use crate::process::Process;

/// Where Debian and Ubuntu put the library for programs with threads.
const NAME: &str = "faketime/libfaketimeMT.so.1";

/// Loaded before it, see `native/faketime_guard.c`.
const GUARD: &str = env!("ROUNDTABLE_FAKETIME_GUARD");

/// The library, if this machine has it.
///
/// # Examples
/// `/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1`
#[must_use]
pub fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .chain([PathBuf::from("/usr/lib")])
        .map(|folder| folder.join(NAME))
        .find(|library| library.exists())
}

/// Loads the library into the process from its next start on. The monotonic clock is left alone.
pub fn load(process: &mut Process, library: &Path) {
    process.set_env("LD_PRELOAD", &format!("{GUARD}:{}", library.display()));
    process.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}
