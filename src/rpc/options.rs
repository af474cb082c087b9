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
    /// How long running requests may take to answer after the connection has ended. `serve` returns at most
    /// [`Options::LAST_WORDS`] later.
    pub grace: Duration,
    /// The id of our first request to the client; later ones count up. Ids of the two directions are independent, but
    /// some clients mix them up, so it should be one that clients do not reach.
    pub first_request_id: u64,
}

impl Options {
    /// How long abandoned requests may take to queue their last answer.
    pub(crate) const LAST_ANSWERS: Duration = Duration::from_millis(100);
    /// How long the writer may take to flush. A client that neither reads nor closes its end must not hold us.
    pub(crate) const LAST_FLUSH: Duration = Duration::from_millis(150);
    /// How long a connection may last after its `grace`.
    pub const LAST_WORDS: Duration = Self::LAST_ANSWERS.saturating_add(Self::LAST_FLUSH);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_frame_bytes: 16 * 1024 * 1024,
            max_batch_entries: 256,
            max_in_flight: 1024,
            max_queued_messages: 256,
            max_unread_bytes: 8 * 1024 * 1024,
            grace: Duration::from_millis(550),
            first_request_id: 1,
        }
    }
}
