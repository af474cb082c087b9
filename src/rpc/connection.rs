//! One connection to one client, from its first message to its end.
//!
//! [`Connection::serve`] joins the reader and the writer and ends them in order: running requests are cancelled, have
//! a stated time to answer, are answered for if they do not, and what is queued is flushed.

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

/// How long abandoned requests may take to queue their last answer.
const LAST_ANSWERS: Duration = Duration::from_millis(100);
/// How long the writer may take to flush. A client that neither reads nor closes its end must not hold us.
const LAST_FLUSH: Duration = Duration::from_millis(150);

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

/// A connection that is not served yet.
///
/// # Order
/// Messages are taken one after the other in the order of the input. A notification's handler runs to its end, and
/// a request's handler runs to its first `.await` that has to wait, before the next message is taken; so what
/// handlers do until then happens in the order of the input, on any runtime. It must be quick, for the connection
/// reads nothing meanwhile. After its first wait, a request's handler runs in a task of its own, beside the others.
///
/// Everything that is sent goes out in the order in which it was sent. A process can serve any number of
/// connections; they share nothing but what their handlers share.
pub struct Connection {
    service: Service,
    /// Empty if it is still to be chosen.
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
    /// message is handled, with the first well-formed request or notification; of a batch, with its first one. What
    /// is malformed before it is answered as by the default [`Strictness`](crate::Strictness).
    pub fn choosing(
        choose: impl FnOnce(&FirstMessage<'_>, &Handle) -> Protocol + Send + 'static,
        options: Options,
    ) -> Self {
        Self::with(Protocol::default(), Some(Box::new(choose)), options)
    }

    fn with(protocol: Protocol, choose: Option<Choose>, options: Options) -> Self {
        let (out, queue) = outbound::queue(options.max_queued_messages.max(1));
        let connection = Handle::new(out);
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

    /// Tells when the client has closed its end. Reading cannot tell it while requests wait in the input that there is
    /// no room for; without this such a connection ends by [`Handle::stop`] or when the output is closed.
    #[must_use]
    pub fn hung_up_when(self, hung_up: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { hung_up: Box::pin(hung_up), ..self }
    }

    /// A handle to send to the client, to cancel its requests and to stop.
    pub fn handle(&self) -> Handle {
        self.service.connection.clone()
    }

    /// Serves the client to the end. When it returns, every request has been answered (or the client is gone),
    /// handlers that were still running are aborted, and `output` is flushed and dropped.
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
        tracing::debug!(?end, n_running = service.connection.in_flight().n_running(), "connection ends");
        tasks.close();
        drop(requests);
        service.connection.in_flight().cancel_all(CancelledBy::End);
        tokio::select! {
            biased;
            () = writer.ended() => {}
            // Elapsed: the requests that still run are abandoned next.
            _ = timeout(grace, tasks.wait()) => {}
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
            .field("protocol", &self.protocol)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Ends our requests to the client when it is dropped: nothing is read from then on, so none is answered.
struct RequestsToClient(Handle);

impl Drop for RequestsToClient {
    fn drop(&mut self) {
        self.0.pending().close();
    }
}

/// The writer's task, which can be waited for more than once.
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
