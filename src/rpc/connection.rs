//! One connection to one client, from its first message to its end.
//!
//! [`Connection::serve`] joins the reader and the writer and ends them in order: running requests are cancelled and get
//! some time to answer; those that do not are answered with an error; then the queue is flushed.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::handle::Handle;
use crate::in_flight::CancelledBy;
use crate::options::Options;
use crate::outbound::{self, Queue};
use crate::protocol::{Choose, FirstMessage, Protocol};
use crate::reader::{HungUp, Over, Reader};
use crate::service::Service;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed its output, or reading it failed.
    InputClosed,
    /// The client no longer reads our output.
    OutputClosed,
    /// [`Handle::stop`] was called.
    Stopped,
}

/// A connection that has not been served yet.
///
/// # Order
/// Messages are handled one by one in the order of the input. Before the next message is read, a notification's handler
/// runs to its end, and a request's handler runs to the first `.await` that has to wait. So what handlers do up to
/// there happens in the order of the input, on any runtime. It must be quick, because nothing is read meanwhile. After
/// its first wait, a request's handler continues in its own task, concurrently with others. On a runtime with one thread, a
/// task that waits for an answer of the client also continues before the next message is read.
///
/// Everything is written in the order in which it was sent. A process can serve any number of connections; they share
/// nothing except what their handlers share.
pub struct Connection {
    service: Service,
    /// Empty until it has been chosen.
    protocol: Protocol,
    choose: Option<Choose>,
    options: Options,
    queue: Queue,
    tasks: TaskTracker,
    hung_up: HungUp,
    requests: RequestsToClient,
}

impl Connection {
    /// A connection that speaks `protocol`.
    pub fn new(protocol: Protocol, options: Options) -> Self {
        Self::with(protocol, None, options)
    }

    /// A connection whose protocol is chosen by the client's first message. `choose` is called once, before that
    /// message is handled, with the first well-formed request or notification (of a batch, with its first one).
    /// Malformed messages before it are answered according to the default [`Strictness`](crate::Strictness).
    pub fn choosing(
        choose: impl FnOnce(&FirstMessage<'_>, &Handle) -> Protocol + Send + 'static,
        options: Options,
    ) -> Self {
        Self::with(Protocol::default(), Some(Box::new(choose)), options)
    }

    fn with(protocol: Protocol, choose: Option<Choose>, options: Options) -> Self {
        let (out, queue) = outbound::queue(options.max_queued_messages.max(1));
        let connection = Handle::new(out, options.first_request_id);
        Self {
            requests: RequestsToClient(connection.clone()),
            service: Service {
                connection,
                max_in_flight: options.max_in_flight,
                abandoned: CancellationToken::new(),
            },
            protocol,
            choose,
            options,
            queue,
            tasks: TaskTracker::new(),
            hung_up: Box::pin(std::future::pending()),
        }
    }

    /// Tells the connection when the client has closed its end. Reading alone cannot detect that while the input
    /// contains requests that there is no room for. Without this, such a connection only ends by [`Handle::stop`] or
    /// when the output is closed.
    #[must_use]
    pub fn hung_up_when(self, hung_up: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { hung_up: Box::pin(hung_up), ..self }
    }

    /// A handle for sending to the client, for cancelling its requests and for stopping.
    pub fn handle(&self) -> Handle {
        self.service.connection.clone()
    }

    /// Serves the client to the end. When this returns, every request has been answered (or the client is gone),
    /// handlers that were still running have been aborted, and `output` has been flushed and dropped.
    pub async fn serve(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> End {
        let Self { service, protocol, choose, options, queue, tasks, hung_up, requests } = self;
        let (framing, framing_known) = watch::channel(None);
        let mut writer = Writer(Some(tokio::spawn(outbound::write_all(queue, output, framing_known))));
        let reader = Reader { service: &service, protocol, options: &options, tasks: &tasks };
        let over = tokio::select! {
            biased;
            () = service.connection.stopped() => Over::Stopped,
            () = writer.ended() => Over::OutputClosed,
            over = reader.read(input, framing, hung_up, choose) => over,
        };
        let (end, grace) = match over {
            Over::InputClosed => (End::InputClosed, options.grace),
            Over::InputClosedUnread => (End::InputClosed, Duration::ZERO),
            Over::OutputClosed => (End::OutputClosed, options.grace),
            Over::Stopped => (End::Stopped, options.grace),
        };
        tracing::debug!(?end, n_running = service.connection.in_flight().n_running(), "the connection ends");
        tasks.close();
        drop(requests);
        service.connection.in_flight().cancel_all(CancelledBy::End);
        tokio::select! {
            biased;
            () = writer.ended() => {}
            // After this time, the requests that still run are aborted.
            _ = timeout(grace, tasks.wait()) => {}
        }
        service.abandoned.cancel();
        let _ = timeout(Options::LAST_ANSWERS, tasks.wait()).await;
        let flushed = timeout(Options::LAST_FLUSH, async {
            // Fails if the writer has already ended.
            let _ = service.connection.outbound().close().await;
            writer.ended().await;
        });
        if flushed.await.is_err() {
            tracing::warn!("the client does not read: the last messages are lost");
            writer.abort();
        }
        end
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("service", &self.service)
            .field("protocol", &self.protocol)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// When dropped, ends our requests to the client with an error: nothing is read anymore, so no answer can come.
struct RequestsToClient(Handle);

impl Drop for RequestsToClient {
    fn drop(&mut self) {
        self.0.pending().close();
    }
}

/// The writer's task. It can be awaited more than once.
struct Writer(Option<JoinHandle<std::io::Result<()>>>);

impl Writer {
    async fn ended(&mut self) {
        if let Some(task) = &mut self.0 {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the output was closed"),
                Err(error) => tracing::error!(%error, "the writer failed"),
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
