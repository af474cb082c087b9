//! A line on a terminal that shows the progress of long work and is erased when the work is done.

use std::io::{IsTerminal, Write};

/// Writes to stderr, and only if that is a terminal.
pub(crate) struct ProgressLine {
    is_terminal: bool,
    is_shown: bool,
}

impl Default for ProgressLine {
    fn default() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), is_shown: false }
    }
}

impl ProgressLine {
    /// Shows the stage `what` with `done` of `total` bytes; a `total` of 0 means that it is not known.
    pub(crate) fn show(&mut self, what: &str, done: u64, total: u64) {
        if !self.is_terminal || (done == 0 && total == 0) {
            return;
        }
        self.is_shown = true;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let text = if total == 0 {
            format!("{what}: {:.1} MB", megabytes(done))
        } else {
            format!("{what}: {:.1} of {:.1} MB", megabytes(done), megabytes(total))
        };
        // A line that cannot be shown is no reason to fail.
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    }

    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}
