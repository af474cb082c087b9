//! What is written to stdout and stderr: protocol frames and words for a person.
//!
//! A C++ library may print to stdout at any time. So before anything else runs, file descriptor 1 is duplicated for the
//! protocol's writer and then redirected to stderr: stray output appears in the log and cannot corrupt the protocol.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, Write};

/// Returns the real stdout, and redirects file descriptor 1 to stderr. Call once, before other threads run.
pub(crate) fn take_stdout() -> io::Result<File> {
    let stdout = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(stdout))
}

/// Writes a line to stderr. If that is impossible, for example on a full disk, there is nobody to tell.
pub(crate) fn tell(line: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
