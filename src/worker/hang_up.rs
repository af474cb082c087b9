//! Detects that the client has closed its end, without reading.
//!
//! While the pipe contains requests that there is no room for, reading cannot reach the end of the input. The operating
//! system reports the closed end anyway.

use std::future::pending;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Resolves when no process can write to stdin any more. Never resolves where the system does not report that, for
/// example if stdin is a file.
pub(crate) async fn stdin_closed() {
    // Registers the descriptor without changing its mode. Sound here, since nothing closes stdin.
    #[allow(deprecated, reason = "its successor is unsafe, which this crate is not")]
    let Ok(stdin) = AsyncFd::with_interest(std::io::stdin(), Interest::READABLE) else {
        return pending().await;
    };
    loop {
        let Ok(mut ready) = stdin.ready(Interest::READABLE).await else { return pending().await };
        if ready.ready().is_read_closed() {
            return;
        }
        ready.clear_ready();
    }
}
