//! Detects that the client has closed its end, without reading.
//!
//! While the pipe or socket contains requests that there is no room for, reading cannot reach the end of the input. The
//! operating system reports the closed end anyway.

use std::future::pending;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Resolves when no process can write to stdin any more. Never resolves where the system does not report that, for
/// example if stdin is a file.
pub(crate) async fn stdin_closed() {
    input_closed(std::io::stdin()).await;
}

/// The same for another descriptor, which must not be registered with the runtime otherwise.
pub(crate) async fn input_closed(input: impl AsRawFd) {
    // Registers the descriptor without changing its mode. Sound here, since nothing closes it.
    #[allow(deprecated, reason = "its successor is unsafe, which this crate is not")]
    let Ok(input) = AsyncFd::with_interest(input, Interest::READABLE) else {
        return pending().await;
    };
    loop {
        let Ok(mut ready) = input.ready(Interest::READABLE).await else { return pending().await };
        if ready.ready().is_read_closed() {
            return;
        }
        ready.clear_ready();
    }
}
