//! One client: reads what it says until the end, and sees to it that everything is answered.
//!
//! One loop reads. Requests enter the table and notifications are handled right there, in the order of the
//! input; handlers run as tasks of their own. At the end running requests are cancelled, have a stated time to
//! answer, are answered for them if they do not, and what was said is flushed.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use jsonrpsee::Methods;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::framing::{Frame, FrameDecoder, Framing};
use crate::handle::Handle;
use crate::in_flight::{CancelledBy, Unsent};
use crate::message::{Malformed, Message, classify};
use crate::notifications::Notifications;
use crate::outbound::{self, Closed, Queue};
use crate::service::{Begun, Call, Service, error_response};

/// For abandoned requests to put their last answer into the queue.
const LAST_ANSWERS: Duration = Duration::from_millis(100);
/// For the writer to get rid of the queue. A client that neither reads nor closes its end must not hold us.
const LAST_FLUSH: Duration = Duration::from_millis(150);

/// How long a client that has closed its end may leave unread what keeps its last requests from being taken.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// Limits of a connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// A larger frame is answered with an error and skipped.
    pub max_frame_bytes: usize,
    /// A batch with more entries is refused whole.
    pub max_batch_entries: usize,
    /// Further requests are refused; a guard against runaway clients, far above what a program can do at once.
    pub max_in_flight: usize,
    /// Messages that wait for the client to read; what has more to say waits.
    pub max_queued_messages: usize,
    /// While more bytes than this wait for the client to read, no further request is taken from the input.
    pub max_unread_bytes: usize,
    /// How long handlers may take to answer after the end. 250 ms more may go by until `serve` returns.
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
            grace: Duration::from_millis(700),
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed its output, or reading it failed.
    InputClosed,
    /// The client no longer reads ours.
    OutputClosed,
    /// [`Handle::stop`] was called.
    Stopped,
}

/// A connection that is not yet served.
pub struct Connection {
    service: Service,
    notifications: Notifications,
    options: Options,
    queue: Queue,
    tasks: TaskTracker,
    hung_up: HungUp,
}

/// Resolves when the client has closed its end, whatever of the input is still to be read.
type HungUp = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why nothing more is read.
struct Over {
    end: End,
    /// The client does not read either: there is nothing to be waited for.
    is_stalled: bool,
}

impl From<End> for Over {
    fn from(end: End) -> Self {
        Self { end, is_stalled: false }
    }
}

/// An entry of a batch, on its way to be answered.
enum BatchAnswer {
    Ready(String),
    Running(JoinHandle<(String, Unsent)>),
}

impl Connection {
    /// A connection that offers `methods`. Each call finds its [`RequestContext`](crate::RequestContext) in its extensions.
    pub fn new(methods: impl Into<Methods>, notifications: Notifications, options: Options) -> Self {
        let (out, queue) = outbound::queue(options.max_queued_messages.max(1));
        let service = Service {
            methods: methods.into(),
            connection: Handle::new(out),
            max_in_flight: options.max_in_flight,
            abandoned: CancellationToken::new(),
        };
        Self {
            service,
            notifications,
            options,
            queue,
            tasks: TaskTracker::new(),
            hung_up: Box::pin(std::future::pending()),
        }
    }

    /// Tells when the client has closed its end, which reading cannot tell while requests wait in the input that there
    /// is no room for. Without it such a connection ends by [`Handle::stop`] or when output is closed.
    #[must_use]
    pub fn hung_up_when(self, hung_up: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { hung_up: Box::pin(hung_up), ..self }
    }

    /// To speak to the client unasked, to cancel, to stop.
    pub fn handle(&self) -> Handle {
        self.service.connection.clone()
    }

    /// Serves one client to the end. When it returns, every request has been answered (or nobody is there to
    /// read it), handlers that were still running are aborted, and `output` is flushed and dropped.
    pub async fn serve(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> End {
        let Self { service, notifications, options, queue, tasks, hung_up } = self;
        let (framing, framing_known) = watch::channel(None);
        let mut writer = Writer(Some(tokio::spawn(outbound::write_all(queue, output, framing_known))));
        let reader =
            Reader { service: &service, notifications: &notifications, options: &options, tasks: &tasks };
        let Over { end, is_stalled } = tokio::select! {
            biased;
            () = service.connection.stopped() => End::Stopped.into(),
            () = writer.ended() => End::OutputClosed.into(),
            over = reader.read(input, framing, hung_up) => over,
        };
        tracing::debug!(?end, n_running = service.connection.in_flight().n_running(), "connection ends");
        tasks.close();
        service.connection.in_flight().cancel_all(CancelledBy::End);
        tokio::select! {
            biased;
            () = writer.ended() => {}
            // Elapsed: they are abandoned next.
            _ = timeout(if is_stalled { Duration::ZERO } else { options.grace }, tasks.wait()) => {}
        }
        service.abandoned.cancel();
        let _ = timeout(LAST_ANSWERS, tasks.wait()).await;
        let flushed = timeout(LAST_FLUSH, async {
            // Fails when the writer has ended already.
            let _ = service.connection.outbound().close().await;
            writer.ended().await;
        });
        if flushed.await.is_err() {
            tracing::warn!("client does not read: the last messages are lost");
            writer.abort();
        }
        end
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("service", &self.service)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The writer's task, asked more than once whether it has ended.
struct Writer(Option<JoinHandle<std::io::Result<()>>>);

impl Writer {
    async fn ended(&mut self) {
        if let Some(task) = &mut self.0 {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "output closed"),
                Err(error) => tracing::error!(%error, "writer failed"),
            }
            self.0 = None;
        }
    }

    fn abort(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// What the reading loop needs.
struct Reader<'a> {
    service: &'a Service,
    notifications: &'a Notifications,
    options: &'a Options,
    tasks: &'a TaskTracker,
}

impl Reader<'_> {
    async fn read(
        &self,
        input: impl AsyncRead + Unpin,
        framing: watch::Sender<Option<Framing>>,
        hung_up: HungUp,
    ) -> Over {
        let mut stalled = std::pin::pin!(self.stalled(hung_up));
        let mut frames = FramedRead::new(input, FrameDecoder::new(self.options.max_frame_bytes));
        while let Some(frame) = frames.next().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::warn!(%error, "input cannot be read");
                    break;
                }
            };
            // Unknown still when the first line is no message: then that line tells how to answer it.
            framing.send_replace(Some(frames.decoder().framing().unwrap_or(Framing::Lines)));
            let taken = tokio::select! {
                biased;
                taken = self.take(&frame) => taken,
                () = &mut stalled => return Over { end: End::InputClosed, is_stalled: true },
            };
            if let Err(Closed) = taken {
                return End::OutputClosed.into();
            }
            // Frames that are here already are read without a pause; one of them may have been the last.
            if self.service.connection.is_stopped() {
                return End::Stopped.into();
            }
        }
        End::InputClosed.into()
    }

    /// Resolves when the client has closed its end and reads nothing any more. To be asked while there is no room.
    async fn stalled(&self, hung_up: HungUp) {
        hung_up.await;
        let out = self.service.connection.outbound();
        loop {
            let n_writes = out.n_writes();
            sleep(LAST_PATIENCE).await;
            if out.n_writes() == n_writes {
                return;
            }
        }
    }

    async fn take(&self, frame: &Frame) -> Result<(), Closed> {
        let message = match frame {
            Frame::Message(bytes) => classify(bytes, self.options.max_batch_entries),
            Frame::Bad(bad) => Message::Invalid { id: None, error: Malformed::Frame(bad.clone()) },
        };
        let out = self.service.connection.outbound();
        if !matches!(message, Message::Notification { .. } | Message::Response) {
            // What is to be answered waits until there is room for the answer; a cancel that comes first is heard.
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
                    // Closed: nobody is there to read it.
                    let _ = ticket.answer(&out, response).await;
                });
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// `None`: nothing to answer.
    fn take_entry(&self, message: Message<'_>) -> Option<Begun> {
        match message {
            Message::Request { id, method, params } => Some(self.service.begin(id, &method, params)),
            Message::Notification { method, params } => {
                self.notifications.dispatch(&method, params, &self.service.connection);
                None
            }
            Message::Response => {
                tracing::debug!("response ignored: no request was made");
                None
            }
            Message::Invalid { id, error } => {
                tracing::debug!(%error, "malformed message");
                Some(Begun::Answered(error_response(id.as_ref(), &error.to_error())))
            }
            // The classifier nests no batches.
            Message::Batch(_) => None,
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
            // Waiting for room here slows down a client that sends rubbish and does not read.
            return out.send(batch_response(answers).await.0).await;
        }
        self.tasks.spawn(async move {
            let (response, unsent) = batch_response(answers).await;
            // Closed: nobody is there to read it.
            let _ = out.send(response).await;
            drop(unsent);
        });
        Ok(())
    }
}

async fn answer_in_batch(call: Call) -> (String, Unsent) {
    let (ticket, response) = call.response().await;
    (response, ticket.close().await)
}

/// Waits for the answers of a batch that runs already.
async fn batch_response(answers: Vec<BatchAnswer>) -> (String, Vec<Unsent>) {
    let mut responses = Vec::with_capacity(answers.len());
    let mut all_unsent = Vec::new();
    for answer in answers {
        match answer {
            BatchAnswer::Ready(response) => responses.push(response),
            BatchAnswer::Running(task) => {
                // Fails only when the runtime is taken down.
                let Ok((response, unsent)) = task.await else { continue };
                responses.push(response);
                all_unsent.push(unsent);
            }
        }
    }
    (format!("[{}]", responses.join(",")), all_unsent)
}
