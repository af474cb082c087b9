//! The limits of a connection.

use std::time::Duration;

/// Limits of a connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// The largest frame, in bytes. A larger one is answered with an error and skipped.
    pub max_frame_bytes: usize,
    /// The most entries of a batch. A batch with more is refused as a whole.
    pub max_batch_entries: usize,
    /// The most requests in flight; further ones are refused. Guards against runaway clients.
    pub max_in_flight: usize,
    /// The capacity of the queue of outgoing messages. When it is full, senders wait.
    pub max_queued_messages: usize,
    /// While more bytes than this wait to be written, no further request is read.
    pub max_unread_bytes: usize,
    /// How long running requests may take to answer after the connection has ended. `serve` returns at most 250 ms
    /// later.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_frame_bytes: 16 * 1024 * 1024,
            max_batch_entries: 256,
            max_in_flight: 1024,
            max_queued_messages: 256,
            max_unread_bytes: 8 * 1024 * 1024,
            grace: Duration::from_millis(600),
        }
    }
}
