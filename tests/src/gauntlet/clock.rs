//! Wrong clocks: libfaketime of the distribution, loaded into a process, takes the offset from a file, so that a
//! clock can jump while the process runs. The monotonic clock is left alone.

use std::path::{Path, PathBuf};

use crate::process::Process;

/// Where Debian and Ubuntu put the library for programs with threads.
const NAME: &str = "faketime/libfaketimeMT.so.1";

/// The library, if this machine has it.
pub(super) fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .chain([PathBuf::from("/usr/lib")])
        .map(|folder| folder.join(NAME))
        .find(|library| library.exists())
}

/// The clock of one process.
#[derive(Debug)]
pub(super) struct Clock {
    file: PathBuf,
}

impl Clock {
    /// Loads the library into the process from its next start on; its clock is right until [`Self::skew`].
    pub(super) fn of(process: &mut Process, library: &Path, file: PathBuf) -> Self {
        let clock = Self { file };
        clock.skew(0);
        process.set_env("LD_PRELOAD", &library.display().to_string());
        process.set_env("FAKETIME_TIMESTAMP_FILE", &clock.file.display().to_string());
        process.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        process.set_env("FAKETIME_DONT_RESET", "1");
        // Seconds after which the file is read again.
        process.set_env("FAKETIME_CACHE_DURATION", "1");
        clock
    }

    /// Sets the clock this far ahead of the true one, or behind it.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub(super) fn skew(&self, by_ms: i64) {
        let seconds = by_ms.unsigned_abs() / 1_000;
        let millis = by_ms.unsigned_abs() % 1_000;
        let sign = if by_ms < 0 { '-' } else { '+' };
        // Exchanged as a whole, so that no reader finds half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{sign}{seconds}.{millis:03}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }
}
