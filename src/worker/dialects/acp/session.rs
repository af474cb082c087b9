//! One conversation that is open: [`Session`].

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use runabout_rpc::RequestId;

use super::record::{Record, Turn};

/// An open conversation. It answers one prompt at a time.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: Record,
    /// How many tokens the conversation had at the end of its last turn, if that was here.
    n_used: u64,
    is_deleted: bool,
    /// The request of the prompt that is being answered.
    prompt: Option<RequestId>,
}

/// The right to answer a prompt of the session, until this is dropped.
#[derive(Debug)]
pub(super) struct Answering<'a>(&'a Session);

impl Session {
    pub(super) fn new(record: Record) -> Self {
        Self {
            id: record.id.clone(),
            state: Mutex::new(State { record, n_used: 0, is_deleted: false, prompt: None }),
        }
    }

    /// Begins to answer a prompt; `None` if one is being answered.
    pub(super) fn begin(&self, prompt: &RequestId) -> Option<Answering<'_>> {
        let mut state = self.state();
        if state.prompt.is_some() {
            return None;
        }
        state.prompt = Some(prompt.clone());
        Some(Answering(self))
    }

    /// The request of the prompt that is being answered.
    pub(super) fn prompt(&self) -> Option<RequestId> {
        self.state().prompt.clone()
    }

    /// The conversation so far.
    pub(super) fn record(&self) -> Record {
        self.state().record.clone()
    }

    pub(super) fn cwd(&self) -> PathBuf {
        self.state().record.cwd.clone()
    }

    pub(super) fn set_cwd(&self, cwd: &Path) {
        cwd.clone_into(&mut self.state().record.cwd);
    }

    /// From now on, the model does not see the first `n_turns` turns.
    pub(super) fn forget(&self, n_turns: usize) {
        self.state().record.n_forgotten = n_turns;
    }

    /// How many tokens the conversation had at the end of its last turn, if that was here.
    pub(super) fn used(&self) -> u64 {
        self.state().n_used
    }

    pub(super) fn set_used(&self, n_tokens: u64) {
        self.state().n_used = n_tokens;
    }

    /// Whether the conversation must not be kept on disk any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.state().is_deleted
    }

    pub(super) fn set_deleted(&self) {
        self.state().is_deleted = true;
    }

    /// Adds a turn and returns the conversation.
    pub(super) fn add(&self, turn: Turn) -> Record {
        let mut state = self.state();
        state.record.add(turn);
        state.record.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code can panic in the middle of a change to the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.state().prompt = None;
    }
}
