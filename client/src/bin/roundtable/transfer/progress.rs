//! The progress line on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;
use crate::transfer::tally::Tally;

/// A line on standard error with what was done, the rate, and the time left. Not a terminal: nothing.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Towards this many bytes of a file; without an end if it is not known.
    pub(crate) fn new(bytes_total: Option<u64>) -> Self {
        // Ten drawings a second; indicatif draws nothing unless standard error is a terminal.
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(bytes_total, target);
        let template = match bytes_total {
            Some(_) => "{wide_bar} {percent:>3}%  {msg}  {bytes_per_sec}  {eta} left",
            None => "{spinner} {msg}  {bytes}  {bytes_per_sec}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// So far: this many bytes of the file, and what the tally says.
    pub(crate) fn show(&self, bytes: u64, tally: &Tally) {
        self.bar.set_position(bytes);
        let failed = if tally.failed > 0 { format!(", {} failed", tally.failed) } else { String::new() };
        self.bar.set_message(format!("{} records{failed}", tally.done));
    }

    /// Says something above the line.
    pub(crate) fn note(&self, text: &str) {
        self.bar.suspend(|| output::note(text));
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
