//! A client of the process: what it shares with other clients, what it has to itself, and how its connection ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use runabout_assist::Assistant;
use runabout_rpc::{ErrorObjectOwned, Handle};

use crate::app::App;
use crate::front_end::FrontEnd;
use crate::suggestion_counts::SuggestionCounts;

/// A client of the process, as its dialect sees it. Clones stand for the same client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) app: Arc<App>,
    /// What the client started.
    pub(crate) front: Arc<FrontEnd>,
    /// The model, with the documents of this client only.
    pub(crate) assistant: Assistant,
    /// What became of the suggestions that it was offered as an editor.
    pub(crate) suggestions: Arc<Mutex<SuggestionCounts>>,
    farewell: Arc<Farewell>,
}

/// Whether the client has announced its end, as in LSP: first `shutdown`, then `exit`.
#[derive(Debug, Default)]
struct Farewell {
    is_shut_down: AtomicBool,
    has_exited: AtomicBool,
}

impl Client {
    /// A new client of `app`.
    pub(crate) fn of(app: &Arc<App>, front: FrontEnd) -> Self {
        Self {
            app: Arc::clone(app),
            front: Arc::new(front),
            assistant: app.assistant.for_another_client(),
            suggestions: Arc::default(),
            farewell: Arc::default(),
        }
    }

    /// Answers every later request with the error `refusal`; running requests are finished.
    pub(crate) fn shut_down(&self, connection: &Handle, refusal: ErrorObjectOwned) {
        self.farewell.is_shut_down.store(true, Ordering::Relaxed);
        connection.refuse_requests(refusal);
    }

    /// Ends the connection, and with it the process if it serves no other client.
    pub(crate) fn exit(&self, connection: &Handle) {
        self.farewell.has_exited.store(true, Ordering::Relaxed);
        connection.stop();
    }

    /// Whether the client exited without a shutdown before, which is an error in LSP.
    pub(crate) fn exited_without_shutdown(&self) -> bool {
        self.farewell.has_exited.load(Ordering::Relaxed)
            && !self.farewell.is_shut_down.load(Ordering::Relaxed)
    }
}
