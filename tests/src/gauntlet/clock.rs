//! Wrong clocks: libfaketime takes the offset from a file, so that a clock can jump while its process runs.

use std::path::{Path, PathBuf};

use crate::faketime;
use crate::process::Process;

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
        faketime::load(process, library);
        process.set_env("FAKETIME_TIMESTAMP_FILE", &clock.file.display().to_string());
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
