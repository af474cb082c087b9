//! One connection. The client's first message decides its dialect; it ends when the client leaves or the engine dies.

use std::sync::Arc;

use runabout_assist::{JobError, State};
use runabout_rpc::{Connection, End, Handle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::app::App;
use crate::client::Client;
use crate::dialects::{self, Announcements, Dialect, Opened};
use crate::front_end::FrontEnd;
use crate::presence::Stay;

/// A client whose connection is not served yet.
pub(crate) struct Connected {
    pub(crate) client: Client,
    rpc: Connection,
    begun: oneshot::Receiver<Announcements>,
    stay: Stay,
}

/// Makes a connection for a new client of `app`. The client's first message decides which of `dialects` it speaks.
pub(crate) fn connect(
    app: &Arc<App>,
    front: FrontEnd,
    dialects: &'static [&'static dyn Dialect],
) -> Connected {
    if !front.is_lazy {
        app.want_model();
    }
    let client = Client::of(app, front);
    let stay = app.presence.enter(Arc::clone(&client.front));
    let (begin, begun) = oneshot::channel();
    let opening = client.clone();
    let rpc = Connection::choosing(
        move |first, connection| {
            let dialect = dialects::choose(dialects, first);
            tracing::debug!(dialect = dialect.name(), method = first.method, "dialect chosen");
            let Opened { protocol, announcements } = dialect.open(opening, connection.clone());
            // Fails only if the engine has died, and then the connection ends anyway.
            let _ = begin.send(announcements);
            protocol
        },
        app.limits.rpc.clone(),
    );
    Connected { client, rpc, begun, stay }
}

impl Connected {
    /// See [`Connection::hung_up_when`].
    pub(crate) fn hung_up_when(self, hung_up: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { rpc: self.rpc.hung_up_when(hung_up), ..self }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.rpc.handle()
    }

    /// Serves the client until the connection ends, and returns why it ended.
    pub(crate) async fn serve(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> End {
        let watch = tokio::spawn(watch(self.client.app, self.rpc.handle(), self.begun));
        let end = self.rpc.serve(input, output).await;
        watch.abort();
        drop(self.stay);
        end
    }
}

/// Runs the dialect's announcements, and ends the connection if the engine dies.
async fn watch(app: Arc<App>, connection: Handle, begun: oneshot::Receiver<Announcements>) {
    tokio::select! {
        biased;
        // If the engine dies, they end once the client has been told.
        Ok(announcements) = begun => announcements.await,
        // The engine's thread also ends when the model cannot be loaded; the client must still be told of that.
        true = engine_dies(&app) => {}
        else => {}
    }
    if engine_dies(&app).await {
        connection.stop();
    }
}

/// Waits until the engine's thread has ended, and returns whether it died.
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
