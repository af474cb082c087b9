//! A slot and its ledger: [`Slot`].

use std::sync::Arc;

use runabout_text::TokenId;

use crate::model::{LanguageModel, SlotId};

/// A KV cache inside the model, and what it holds.
///
/// Its owner is either the cache or the one sequence that checked it out, so there is never more than one writer.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    /// The tokens whose keys and values the slot holds, whatever has become of the sequence.
    pub(crate) ledger: Vec<TokenId>,
    /// The document of the last prompt, if it had one.
    pub(super) document: Option<Arc<str>>,
    /// The length of the longest beginning that another sequence copied.
    pub(super) n_shared: usize,
}

impl Slot {
    /// A slot that was just opened.
    pub(crate) fn fresh(id: SlotId) -> Self {
        Self { id, ledger: Vec::new(), document: None, n_shared: 0 }
    }

    /// Cuts it to its first `n_keep` tokens.
    pub(super) fn cut(&mut self, model: &mut dyn LanguageModel, n_keep: usize) {
        if n_keep < self.ledger.len() {
            model.truncate_slot(self.id, n_keep);
            self.ledger.truncate(n_keep);
            self.n_shared = self.n_shared.min(n_keep);
        }
    }

    /// Records that its first `n_keep` tokens were copied for `prompt`. They count as shared unless that is the same
    /// prompt again.
    pub(super) fn note_copied(&mut self, n_keep: usize, prompt: &[TokenId]) {
        if n_keep + 1 < prompt.len() {
            self.n_shared = self.n_shared.max(n_keep);
        }
    }

    /// Opens a slot with a copy of the first `n_keep` tokens; `None` if the model cannot.
    pub(super) fn copy(&self, model: &mut dyn LanguageModel, n_keep: usize) -> Option<Self> {
        let id = model
            .copy_slot(self.id, n_keep)
            .inspect_err(|error| tracing::warn!(%error, "a slot could not be copied"))
            .ok()?;
        Some(Self { ledger: self.ledger[..n_keep].to_vec(), ..Self::fresh(id) })
    }
}
