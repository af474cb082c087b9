//! Reads the client's messages in the order of the input, and ensures that each request is answered: [`Reader`].
//!
//! Before the next message is read, an answer is matched, a notification is handled, or a request enters the table and
//! its handler starts. What handlers do after their first wait, and sending their responses, happens in separate tasks.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::codec::FramedRead;
use tokio_util::task::TaskTracker;

use crate::framing::{Frame, FrameDecoder, Framing};
use crate::in_flight::Unsent;
use crate::malformed::Malformed;
use crate::message::{Message, classify};
use crate::options::Options;
use crate::outbound::{Closed, Outbound};
use crate::protocol::{Choose, FirstMessage, Protocol};
use crate::service::{Begun, Call, Service, error_response};

/// After the client has closed its end, how long output that it does not read may keep its last requests from being
/// read.
const LAST_READ: Duration = Duration::from_millis(250);

/// The reading end of a connection.
pub(crate) struct Reader<'a> {
    pub(crate) service: &'a Service,
    /// Until it is chosen, it has no methods and the default strictness.
    pub(crate) protocol: Protocol,
    pub(crate) options: &'a Options,
    pub(crate) tasks: &'a TaskTracker,
}

/// Why reading has ended.
pub(crate) enum Over {
    InputClosed,
    /// The client has closed its end, and does not read the output that keeps its last requests from being read.
    InputClosedUnread,
    OutputClosed,
    Stopped,
}

/// Resolves when the client has closed its end, even if part of the input has not been read yet.
pub(crate) type HungUp = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The answer to an entry of a batch.
enum BatchAnswer {
    Ready(String),
    Running(JoinHandle<(String, Unsent)>),
}

impl Reader<'_> {
    /// Reads to the end. `framing` gets the client's framing; `choose`, if present, is called once with the first
    /// well-formed message.
    pub(crate) async fn read(
        mut self,
        input: impl AsyncRead + Unpin,
        framing: watch::Sender<Option<Framing>>,
        hung_up: HungUp,
        mut choose: Option<Choose>,
    ) -> Over {
        let out = self.service.connection.outbound().clone();
        let mut stalled = std::pin::pin!(stalled(&out, hung_up));
        let mut frames = FramedRead::new(input, FrameDecoder::new(self.options.max_frame_bytes));
        while let Some(frame) = frames.next().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::warn!(%error, "the input cannot be read");
                    break;
                }
            };
            // Not known yet if the first line is not a message; then the answer is a line too.
            framing.send_replace(Some(frames.decoder().framing().unwrap_or(Framing::Lines)));
            let mut message = self.classify(&frame);
            if let Some(first) = FirstMessage::of(&message)
                && let Some(choose) = choose.take()
            {
                self.protocol = choose(&first, &self.service.connection);
                message = self.classify(&frame);
            }
            let taken = tokio::select! {
                biased;
                taken = self.take(message) => taken,
                () = &mut stalled => return Over::InputClosedUnread,
            };
            if let Err(Closed) = taken {
                return Over::OutputClosed;
            }
            // Frames that are already buffered are read without a wait, so check whether the last one stopped the
            // connection.
            if self.service.connection.is_stopped() {
                return Over::Stopped;
            }
        }
        Over::InputClosed
    }

    fn classify<'f>(&self, frame: &'f Frame) -> Message<'f> {
        match frame {
            Frame::Message(bytes) => {
                classify(bytes, self.options.max_batch_entries, self.protocol.strictness)
            }
            Frame::Bad(bad) => Message::Invalid { id: None, error: Malformed::Frame(bad.clone()) },
        }
    }

    async fn take(&self, message: Message<'_>) -> Result<(), Closed> {
        let Some(message) = self.match_answers(message) else {
            // Lets those who waited for the answer go on before the next message is handled.
            tokio::task::yield_now().await;
            return Ok(());
        };
        let out = self.service.connection.outbound();
        if !matches!(message, Message::Notification { .. }) {
            // A request waits until there is room for its answer; a cancel that comes before it is still handled.
            out.has_at_most(self.options.max_unread_bytes).await;
        }
        if let Message::Batch(entries) = message {
            return self.take_batch(entries).await;
        }
        match self.take_entry(message) {
            Some(Begun::Answered(response)) => out.send(response).await,
            Some(Begun::Running(call)) => {
                let out = out.clone();
                self.tasks.spawn(async move {
                    let (ticket, response) = call.response().await;
                    // Closed: the client is gone.
                    let _ = ticket.answer(&out, response).await;
                });
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Matches the client's answers with our requests. Returns what remains of the message.
    fn match_answers<'m>(&self, message: Message<'m>) -> Option<Message<'m>> {
        let pending = self.service.connection.pending();
        match message {
            Message::Answer(answer) => {
                pending.resolve(answer);
                None
            }
            Message::NullAnswer { id, .. } if pending.resolve_null(id.as_raw()) => None,
            Message::NullAnswer { id, error } => Some(Message::Invalid { id: Some(id), error }),
            Message::Batch(entries) => {
                let rest: Vec<Message<'_>> =
                    entries.into_iter().filter_map(|entry| self.match_answers(entry)).collect();
                if rest.is_empty() {
                    None
                } else if self.protocol.strictness.takes_batches {
                    Some(Message::Batch(rest))
                } else {
                    Some(Message::Invalid { id: None, error: Malformed::Batch })
                }
            }
            message => Some(message),
        }
    }

    /// Handles a notification or starts a request. `None` if there is nothing to answer.
    fn take_entry(&self, message: Message<'_>) -> Option<Begun> {
        match message {
            Message::Request { id, method, params } => {
                Some(self.service.begin(&self.protocol.methods, id, &method, params))
            }
            Message::Notification { method, params } => {
                self.protocol.notifications.dispatch(&method, params, &self.service.connection);
                None
            }
            Message::Invalid { id, error } => {
                tracing::debug!(%error, "malformed message");
                Some(Begun::Answered(error_response(id.as_ref(), &error.to_error())))
            }
            // Answers were matched before, and batches are never nested.
            Message::Answer(_) | Message::NullAnswer { .. } | Message::Batch(_) => None,
        }
    }

    async fn take_batch(&self, entries: Vec<Message<'_>>) -> Result<(), Closed> {
        let answers: Vec<BatchAnswer> = entries
            .into_iter()
            .filter_map(|entry| self.take_entry(entry))
            .map(|begun| match begun {
                Begun::Answered(response) => BatchAnswer::Ready(response),
                Begun::Running(call) => BatchAnswer::Running(self.tasks.spawn(answer_in_batch(call))),
            })
            .collect();
        if answers.is_empty() {
            return Ok(());
        }
        let out = self.service.connection.outbound().clone();
        if answers.iter().all(|answer| matches!(answer, BatchAnswer::Ready(_))) {
            // Waiting for room here slows down a client that sends malformed messages and does not read.
            return match batch_response(answers).await.0 {
                Some(response) => out.send(response).await,
                None => Ok(()),
            };
        }
        self.tasks.spawn(async move {
            let (response, unsent) = batch_response(answers).await;
            if let Some(response) = response {
                // Closed: the client is gone.
                let _ = out.send(response).await;
            }
            drop(unsent);
        });
        Ok(())
    }
}

/// Resolves when the client has closed its end and does not read either. To be polled while there is no room for
/// output.
async fn stalled(out: &Outbound, hung_up: HungUp) {
    hung_up.await;
    loop {
        let n_writes = out.n_writes();
        sleep(LAST_READ).await;
        if out.n_writes() == n_writes {
            return;
        }
    }
}

async fn answer_in_batch(call: Call) -> (String, Unsent) {
    let (ticket, response) = call.response().await;
    (response, ticket.close().await)
}

/// Waits for all answers of a batch and joins them, except those of withdrawn requests. `None` if no answer is left.
async fn batch_response(answers: Vec<BatchAnswer>) -> (Option<String>, Vec<Unsent>) {
    let mut responses = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            BatchAnswer::Ready(response) => responses.push((response, None)),
            BatchAnswer::Running(task) => {
                // Fails only if the runtime shuts down.
                let Ok((response, unsent)) = task.await else { continue };
                responses.push((response, Some(unsent)));
            }
        }
    }
    // Only now, since a request may be withdrawn while others of its batch still run.
    responses.retain(|(_, unsent)| !unsent.as_ref().is_some_and(Unsent::is_withdrawn));
    let (responses, unsent): (Vec<String>, Vec<Option<Unsent>>) = responses.into_iter().unzip();
    let joined = (!responses.is_empty()).then(|| format!("[{}]", responses.join(",")));
    (joined, unsent.into_iter().flatten().collect())
}
