//! The output: one bounded queue of messages, and one task that writes them.
//!
//! Everything that a connection sends goes through this queue in the order in which it was sent, so a notification sent
//! before a response arrives before it. The bytes that wait to be written, or for room in the queue, are counted, so
//! that the reader can pause. Nothing is written before the client's first frame, which decides the framing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::bytes::BytesMut;

use crate::framing::Framing;

/// The most messages that are written and flushed together.
const MAX_MESSAGES_PER_WRITE: usize = 64;
/// Writes are not larger than this.
const MAX_BYTES_PER_WRITE: usize = 256 * 1024;
/// A buffer that a large message has made larger than this is freed.
const MAX_KEPT_BUFFER_BYTES: usize = 1024 * 1024;

/// The output is closed, or the connection has ended: nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection is closed")]
pub struct Closed;

/// Why a notification was not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The queue is full. Only returned by the methods that do not wait.
    #[error("client is not reading: the queue of messages is full")]
    Full,
    /// The request that the notification belongs to has been answered.
    #[error("the request has already been answered")]
    Answered,
    /// The client has withdrawn the request that the notification belongs to, so it must not hear of it again.
    #[error("the client has withdrawn the request")]
    Withdrawn,
    #[error("notification's params cannot be written: {0}")]
    Params(#[from] serde_json::Error),
}

#[derive(Debug)]
enum Item {
    Message(Counted),
    Close,
}

/// A message that has not been written yet, as valid JSON.
#[derive(Debug)]
struct Counted {
    message: String,
    backlog: Arc<Backlog>,
    /// If this becomes `true`, the message must not be written any more.
    unwanted: Option<Arc<AtomicBool>>,
}

impl Counted {
    fn is_wanted(&self) -> bool {
        !self.unwanted.as_ref().is_some_and(|it| it.load(Ordering::Relaxed))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.backlog.n_bytes.fetch_sub(self.message.len(), Ordering::Relaxed);
        self.backlog.less.notify_waiters();
    }
}

/// Counts what has not been written yet.
#[derive(Debug, Default)]
struct Backlog {
    n_bytes: AtomicUsize,
    /// The number of writes so far.
    n_writes: AtomicUsize,
    less: Notify,
}

/// The sending end of the queue. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    sender: mpsc::Sender<Item>,
    backlog: Arc<Backlog>,
}

/// The receiving end of the queue, for [`write_all`].
#[derive(Debug)]
pub(crate) struct Queue {
    receiver: mpsc::Receiver<Item>,
    backlog: Arc<Backlog>,
}

pub(crate) fn queue(capacity: usize) -> (Outbound, Queue) {
    let (sender, receiver) = mpsc::channel(capacity);
    let backlog = Arc::<Backlog>::default();
    (Outbound { sender, backlog: Arc::clone(&backlog) }, Queue { receiver, backlog })
}

impl Outbound {
    /// Queues `message`, which must be valid JSON; waits for room.
    pub(crate) async fn send(&self, message: String) -> Result<(), Closed> {
        self.sender.send(self.counted(message, None)).await.map_err(|_| Closed)
    }

    /// Like [`send`](Self::send), but the message is not written if `unwanted` becomes `true` before that.
    pub(crate) async fn send_while_wanted(
        &self,
        message: String,
        unwanted: &Arc<AtomicBool>,
    ) -> Result<(), Closed> {
        self.sender.send(self.counted(message, Some(unwanted))).await.map_err(|_| Closed)
    }

    /// Like [`send`](Self::send), but fails if it would have to wait.
    pub(crate) fn try_send(&self, message: String) -> Result<(), NotifyError> {
        self.try_send_item(self.counted(message, None))
    }

    /// Like [`send_while_wanted`](Self::send_while_wanted), but fails if it would have to wait.
    pub(crate) fn try_send_while_wanted(
        &self,
        message: String,
        unwanted: &Arc<AtomicBool>,
    ) -> Result<(), NotifyError> {
        self.try_send_item(self.counted(message, Some(unwanted)))
    }

    fn try_send_item(&self, item: Item) -> Result<(), NotifyError> {
        self.sender.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotifyError::Full,
            mpsc::error::TrySendError::Closed(_) => Closed.into(),
        })
    }

    /// Tells the writer to end after the messages that are in the queue now.
    pub(crate) async fn close(&self) -> Result<(), Closed> {
        self.sender.send(Item::Close).await.map_err(|_| Closed)
    }

    /// Resolves when at most `n_bytes` bytes wait to be written.
    pub(crate) async fn has_at_most(&self, n_bytes: usize) {
        loop {
            let less = self.backlog.less.notified();
            if self.backlog.n_bytes.load(Ordering::Relaxed) <= n_bytes {
                return;
            }
            less.await;
        }
    }

    /// The number of writes so far, which shows whether the client reads.
    pub(crate) fn n_writes(&self) -> usize {
        self.backlog.n_writes.load(Ordering::Relaxed)
    }

    fn counted(&self, message: String, unwanted: Option<&Arc<AtomicBool>>) -> Item {
        self.backlog.n_bytes.fetch_add(message.len(), Ordering::Relaxed);
        Item::Message(Counted { message, backlog: Arc::clone(&self.backlog), unwanted: unwanted.cloned() })
    }
}

/// Writes the queue's messages until it is closed, then flushes. The framing is the one that is known when a message is
/// written; if the input ends before that, messages are lines.
pub(crate) async fn write_all(
    mut queue: Queue,
    mut output: impl AsyncWrite + Unpin,
    mut framing: watch::Receiver<Option<Framing>>,
) -> io::Result<()> {
    let mut items = Vec::with_capacity(MAX_MESSAGES_PER_WRITE);
    let mut buffer = BytesMut::new();
    // Fails if the input has ended without a frame.
    let _ = framing.wait_for(Option::is_some).await;
    while queue.receiver.recv_many(&mut items, MAX_MESSAGES_PER_WRITE).await > 0 {
        let framing = framing.borrow().unwrap_or(Framing::Lines);
        let mut closing = false;
        for item in items.drain(..) {
            match item {
                Item::Message(it) if it.is_wanted() => framing.encode(&it.message, &mut buffer),
                Item::Message(_) => {}
                Item::Close => {
                    closing = true;
                    break;
                }
            }
            if buffer.len() >= MAX_BYTES_PER_WRITE {
                output.write_all(&buffer).await?;
                queue.backlog.n_writes.fetch_add(1, Ordering::Relaxed);
                buffer.clear();
            }
        }
        output.write_all(&buffer).await?;
        output.flush().await?;
        queue.backlog.n_writes.fetch_add(1, Ordering::Relaxed);
        if closing {
            break;
        }
        if buffer.capacity() > MAX_KEPT_BUFFER_BYTES {
            buffer = BytesMut::new();
        } else {
            buffer.clear();
        }
    }
    Ok(())
}

/// The text of a notification. `params` must serialize to an object or an array.
pub(crate) fn notification(method: &str, params: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Call { jsonrpc: "2.0", id: None, method, params })
}

/// The text of a request to the client. `params` must serialize to an object or an array.
pub(crate) fn request(id: u64, method: &str, params: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Call { jsonrpc: "2.0", id: Some(id), method, params })
}

/// A request, or a notification if there is no id.
#[derive(Serialize)]
struct Call<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: &'a P,
}
