//! Whether the client has closed its end, told without reading.
//!
//! While requests wait in the pipe that there is no room for, their end cannot be read; the system knows of it all the
//! same.

use std::future::pending;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Resolves when nothing can write to stdin any more; never where the system does not tell, as with files.
pub(crate) async fn stdin_closed() {
    // Registers the descriptor and leaves its mode alone. Sound here, since nothing closes stdin.
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
