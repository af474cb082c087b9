//! Whether the process may open the files that it cannot do without: [`check`].

use std::io;
use std::os::fd::OwnedFd;

use anyhow::{Result, anyhow};

/// What a process has open that serves one client and loads a model, beside stdin, stdout and stderr: the runtime's own
/// descriptors, the copy of stdout, and a file of the model.
const N_NEEDED: usize = 8;

/// Fails if too few files may be open. Said at the start, since the runtime panics if it gets no descriptor.
pub(crate) fn check() -> Result<()> {
    let copy = || rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).map_err(io::Error::from);
    let copies: io::Result<Vec<OwnedFd>> = (0..N_NEEDED).map(|_| copy()).collect();
    copies.map(drop).map_err(|error| {
        anyhow!(
            "the process must be allowed to open {N_NEEDED} more files: {error}\nhint: raise the limit with `ulimit -n`"
        )
    })
}
