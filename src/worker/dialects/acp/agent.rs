//! The state of a connection: the client, what was agreed on with it, and its open sessions.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use runabout_rpc::{CancelledBy, ErrorObjectOwned, Handle};

use super::agreement::Agreement;
use super::archive::Archive;
use super::errors;
use super::record::Record;
use super::session::Session;
use crate::client::Client;

/// The most sessions that may be open on a connection. Guards against runaway clients.
const MAX_OPEN: usize = 256;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) client: Client,
    pub(super) connection: Handle,
    pub(super) archive: Arc<Archive>,
    agreement: OnceLock<Agreement>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl Agent {
    pub(super) fn new(client: Client, connection: Handle) -> Self {
        let archive = Arc::new(Archive::new(client.front.conversations.clone()));
        Self { client, connection, archive, agreement: OnceLock::new(), sessions: Mutex::default() }
    }

    /// Records what was agreed on; `false` if that had been done before.
    pub(super) fn agree(&self, agreement: Agreement) -> bool {
        self.agreement.set(agreement).is_ok()
    }

    pub(super) fn agreement(&self) -> Agreement {
        self.agreement.get().copied().unwrap_or_default()
    }

    /// The model's name. Of a model that is given by its folder, it is the folder's name only.
    pub(super) fn model_name(&self) -> String {
        let name = self.client.app.model_name();
        let folder = Path::new(&name).file_name().filter(|_| name.starts_with('/'));
        folder.map_or_else(|| name.clone(), |it| it.to_string_lossy().into_owned())
    }

    /// An open session.
    pub(super) fn session(&self, id: &str) -> Result<Arc<Session>, ErrorObjectOwned> {
        self.sessions().get(id).cloned().ok_or_else(|| errors::no_session(id))
    }

    /// Opens a session with this past, or returns it if it is already open.
    pub(super) fn open(&self, record: Record) -> Result<Arc<Session>, ErrorObjectOwned> {
        let mut sessions = self.sessions();
        if let Some(open) = sessions.get(&record.id) {
            return Ok(Arc::clone(open));
        }
        if sessions.len() >= MAX_OPEN {
            return Err(errors::too_many_sessions(MAX_OPEN));
        }
        let id = record.id.clone();
        let session = Arc::new(Session::new(record));
        sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// Forgets an open session, and cancels what it does. `None` if there is none.
    pub(super) fn close(&self, id: &str) -> Option<Arc<Session>> {
        let closed = self.sessions().remove(id);
        if let Some(session) = &closed {
            self.cancel(session);
        }
        closed
    }

    /// The sessions that are open.
    pub(super) fn open_sessions(&self) -> Vec<Arc<Session>> {
        self.sessions().values().cloned().collect()
    }

    /// Cancels the prompt that the session answers, if it does. It is still answered.
    pub(super) fn cancel(&self, session: &Session) {
        if let Some(prompt) = session.prompt() {
            self.connection.in_flight().cancel(&prompt, CancelledBy::Program);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        // No code can panic in the middle of a change to the table.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
