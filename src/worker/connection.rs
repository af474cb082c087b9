//! One connection: its first message chooses the dialect that it speaks, and it ends with its client or with the engine.

use std::sync::Arc;

use runabout_assist::{JobError, State};
use runabout_rpc::{Connection, End, Handle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::app::App;
use crate::client::Client;
use crate::dialects::{self, Announcements, Dialect, Opened};

/// A client whose connection is not served yet.
pub(crate) struct Connected {
    pub(crate) client: Client,
    rpc: Connection,
    begun: oneshot::Receiver<Announcements>,
}

/// A connection for a new client of `app`. Its first message decides which of `dialects` it speaks.
pub(crate) fn connect(app: &Arc<App>, dialects: &'static [&'static dyn Dialect]) -> Connected {
    let client = Client::of(app);
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
        // The engine's thread also ends when the model cannot be loaded; the client must still be told of that.
        true = engine_dies(&app) => {}
        else => {}
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
