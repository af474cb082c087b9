//! One connection: which dialect it speaks, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runabout_assist::{Assistant, JobError, State};
use runabout_rpc::{Connection, End, ErrorObjectOwned, Handle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::app::App;
use crate::dialects::{self, Announcements, Dialect, Opened};

/// A client of the process, as its dialect sees it. Clones are the same client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) app: Arc<App>,
    /// The model, with documents of this client alone.
    pub(crate) assistant: Assistant,
    farewell: Arc<Farewell>,
}

/// How the client says that it will end.
#[derive(Debug, Default)]
struct Farewell {
    is_shut_down: AtomicBool,
    has_exited: AtomicBool,
}

/// A client whose connection is not served yet.
pub(crate) struct Connected {
    pub(crate) client: Client,
    rpc: Connection,
    begun: oneshot::Receiver<Announcements>,
}

impl Client {
    /// Answers every request from now on with `refusal`; running ones go on.
    pub(crate) fn shut_down(&self, connection: &Handle, refusal: ErrorObjectOwned) {
        self.farewell.is_shut_down.store(true, Ordering::Relaxed);
        connection.refuse_requests(refusal);
    }

    /// Ends the connection, and with it a process that serves no other client.
    pub(crate) fn exit(&self, connection: &Handle) {
        self.farewell.has_exited.store(true, Ordering::Relaxed);
        connection.stop();
    }

    /// Whether it exited without a shutdown, which is an error in LSP.
    pub(crate) fn exited_without_shutdown(&self) -> bool {
        self.farewell.has_exited.load(Ordering::Relaxed)
            && !self.farewell.is_shut_down.load(Ordering::Relaxed)
    }
}

/// A connection for a new client of `app`. Its first message decides which of `dialects` it speaks.
pub(crate) fn connect(app: &Arc<App>, dialects: &'static [&'static dyn Dialect]) -> Connected {
    let client = Client {
        app: Arc::clone(app),
        assistant: app.assistant.for_another_client(),
        farewell: Arc::default(),
    };
    let (begin, begun) = oneshot::channel();
    let opening = client.clone();
    let rpc = Connection::choosing(
        move |first, connection| {
            let dialect = dialects::choose(dialects, first);
            tracing::debug!(dialect = dialect.name(), method = first.method, "dialect chosen");
            let Opened { protocol, announcements } = dialect.open(opening, connection.clone());
            // Fails when the engine has died, which ends the connection.
            let _ = begin.send(announcements);
            protocol
        },
        app.limits.rpc.clone(),
    );
    Connected { client, rpc, begun }
}

impl Connected {
    /// See [`Connection::hung_up_when`].
    pub(crate) fn hung_up_when(self, hung_up: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { rpc: self.rpc.hung_up_when(hung_up), ..self }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.rpc.handle()
    }

    /// Serves the client to the end.
    pub(crate) async fn serve(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> End {
        let watch = tokio::spawn(watch(self.client.app, self.rpc.handle(), self.begun));
        let end = self.rpc.serve(input, output).await;
        watch.abort();
        end
    }
}

/// Lets the dialect tell its client how the model is, and ends the connection if the engine dies.
async fn watch(app: Arc<App>, connection: Handle, begun: oneshot::Receiver<Announcements>) {
    tokio::select! {
        biased;
        // They end when the client has been told of the engine's death.
        Ok(announcements) = begun => announcements.await,
        _ = engine_dies(&app) => {}
    }
    if engine_dies(&app).await {
        connection.stop();
    }
}

/// Waits until the engine's thread has ended, and tells whether it died.
async fn engine_dies(app: &App) -> bool {
    let mut state = app.model().engine().watch_state();
    let died = state.wait_for(|it| matches!(it, State::Failed(JobError::EngineDied { .. }))).await;
    match died.as_deref() {
        Ok(State::Failed(error)) => {
            tracing::error!(%error, "the engine died");
            true
        }
        _ => false,
    }
}
