//! Keeps stdout for protocol frames.
//!
//! A C++ library may print at any time. Before anything else runs, the pipe behind fd 1 is taken aside for the
//! writer, and fd 1 is pointed at stderr: a stray print lands in the log and cannot corrupt the conversation.

use std::fs::File;
use std::io;

/// Takes the real stdout. Call once, before other threads run.
pub(crate) fn take_stdout() -> io::Result<File> {
    let stdout = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(stdout))
}
