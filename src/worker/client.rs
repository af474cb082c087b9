//! A client of the process: what it shares with others, what is its own, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runabout_assist::Assistant;
use runabout_rpc::{ErrorObjectOwned, Handle};

use crate::app::App;

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

impl Client {
    /// A new client of `app`.
    pub(crate) fn of(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), assistant: app.assistant.for_another_client(), farewell: Arc::default() }
    }

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
