//! A slot, its ledger and its checkpoints: [`Slot`].

use std::{ops::Range, sync::Arc};

use runabout_text::TokenId;

use super::{checkpoints::Checkpoints, choice::n_usable};
use crate::model::{LanguageModel, SlotId};

/// A slot inside the model, and what it holds.
///
/// Its owner is either the cache or the one sequence that checked it out, so there is never more than one writer.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    /// The tokens that the slot holds, whatever has become of the sequence. If some were dropped, only those before them:
    /// the others were computed after what is gone, so only a sequence that begins with all of it may use them.
    pub(crate) ledger: Vec<TokenId>,
    /// What the slot holds behind its ledger; `None` if nothing was dropped.
    pub(super) after_dropped: Option<AfterDropped>,
    /// The checkpoints that the model has made in it.
    pub(crate) checkpoints: Checkpoints,
    /// The document of the last prompt, if it had one.
    pub(super) document: Option<Arc<str>>,
    /// The length of the longest beginning that another sequence copied.
    pub(super) n_shared: usize,
}

/// The tokens of a slot behind those that were dropped.
#[derive(Clone, Debug)]
pub(super) struct AfterDropped {
    n_dropped: usize,
    n_held: usize,
    /// All tokens that the slot was fed, which decide with `n_most` what it holds.
    fed: Vec<TokenId>,
    /// How many tokens it held whenever some were dropped.
    n_most: usize,
    /// How many tokens it had been fed when some were dropped last.
    n_fed_then: usize,
}

impl Slot {
    /// A slot that was just opened.
    pub(crate) fn fresh(id: SlotId) -> Self {
        Self {
            id,
            ledger: Vec::new(),
            after_dropped: None,
            checkpoints: Checkpoints::default(),
            document: None,
            n_shared: 0,
        }
    }

    /// The number of tokens that it holds.
    pub(crate) fn n_held(&self) -> usize {
        self.ledger.len() + self.after_dropped.as_ref().map_or(0, |it| it.n_held)
    }

    /// The number of tokens of its sequence that were dropped.
    pub(crate) fn n_dropped(&self) -> usize {
        self.after_dropped.as_ref().map_or(0, |it| it.n_dropped)
    }

    /// The number of tokens that its sequence has fed to it.
    pub(crate) fn n_fed(&self) -> usize {
        self.n_held() + self.n_dropped()
    }

    /// Records that it was fed these tokens.
    pub(crate) fn note_fed(&mut self, tokens: &[TokenId]) {
        match &mut self.after_dropped {
            Some(it) => {
                it.n_held += tokens.len();
                it.fed.extend_from_slice(tokens);
            }
            None => self.ledger.extend_from_slice(tokens),
        }
    }

    /// Records that the model dropped the tokens at these positions, all behind the first that were ever dropped.
    pub(crate) fn note_dropped(&mut self, tokens: Range<usize>) {
        let (n_held, n_dropped, n_fed) = (self.n_held(), self.n_dropped(), self.n_fed());
        let fed = self.after_dropped.take().map_or_else(|| self.ledger.clone(), |it| it.fed);
        self.ledger.truncate(tokens.start);
        self.after_dropped = Some(AfterDropped {
            n_dropped: n_dropped + tokens.len(),
            n_held: n_held - tokens.len() - self.ledger.len(),
            fed,
            n_most: n_held,
            n_fed_then: n_fed,
        });
    }

    /// The number of tokens of `prompt` that need not be fed, if its sequence too drops some whenever `n_most` are held:
    /// then it would hold the same. `None` if nothing was dropped, or the prompt departs before the last drop.
    pub(super) fn n_usable_after_dropped(&self, prompt: &[TokenId], n_most: usize) -> Option<usize> {
        let it = self.after_dropped.as_ref().filter(|it| it.n_most == n_most)?;
        Some(n_usable(&it.fed, prompt)).filter(|n| *n >= it.n_fed_then)
    }

    /// Returns to the first `n_fed` of the tokens that it was fed, or to fewer. Fails if the model cannot return to a place
    /// behind the last drop; then what the slot holds is of no use.
    pub(super) fn rewind_after_dropped(&mut self, model: &mut dyn LanguageModel, n_fed: usize) -> bool {
        let (n_held, n_ledger) = (self.n_held(), self.ledger.len());
        let Some(it) = &mut self.after_dropped else { return false };
        let n_kept = n_fed - it.n_dropped;
        let n_kept = if n_kept < n_held { model.rewind_slot(self.id, n_kept) } else { n_held };
        it.fed.truncate(n_kept + it.n_dropped);
        it.n_held = n_kept.saturating_sub(n_ledger);
        it.fed.len() >= it.n_fed_then
    }

    /// The number of tokens of `prompt` that need not be fed if the slot returns to the end of what both share.
    pub(crate) fn n_usable(&self, model: &dyn LanguageModel, prompt: &[TokenId]) -> usize {
        model.resume_point(self.id, n_usable(&self.ledger, prompt))
    }

    /// The length of the longest beginning that another sequence copied and that the slot can return to.
    pub(super) fn n_shared(&self, model: &dyn LanguageModel) -> usize {
        model.resume_point(self.id, self.n_shared)
    }

    /// The memory it takes.
    pub(crate) fn bytes(&self, model: &dyn LanguageModel) -> u64 {
        model.description().slot_cost.bytes(model.slot_room(self.id), self.checkpoints.len())
    }

    /// Returns to its first `n_tokens`, or to fewer if the model cannot return to them.
    pub(super) fn rewind(&mut self, model: &mut dyn LanguageModel, n_tokens: usize) {
        if n_tokens < self.ledger.len() {
            let n_tokens = model.rewind_slot(self.id, n_tokens);
            self.ledger.truncate(n_tokens);
            self.checkpoints.rewind(n_tokens);
            self.n_shared = self.n_shared.min(n_tokens);
        }
    }

    /// Drops checkpoints until at most `n` are left, those that are needed least first.
    pub(crate) fn thin(&mut self, model: &mut dyn LanguageModel, n: usize) {
        while self.checkpoints.len() > n
            && let Some(at) = self.checkpoints.pop_least(self.n_shared)
        {
            model.drop_checkpoint(self.id, at);
        }
    }

    /// Records that its first `n_keep` tokens were copied for `prompt`. They count as shared unless that is the same
    /// prompt again.
    pub(super) fn note_copied(&mut self, n_keep: usize, prompt: &[TokenId]) {
        if n_keep + 1 < prompt.len() {
            self.n_shared = self.n_shared.max(n_keep);
        }
    }

    /// Opens a slot with a copy of the first `n_tokens`, or of fewer if the model cannot return to them; `None` if it
    /// cannot copy.
    pub(super) fn copy(&self, model: &mut dyn LanguageModel, n_tokens: usize) -> Option<Self> {
        let copy = model
            .copy_slot(self.id, n_tokens)
            .inspect_err(|error| tracing::warn!(%error, "a slot could not be copied"))
            .ok()?;
        Some(Self { ledger: self.ledger[..copy.n_tokens].to_vec(), ..Self::fresh(copy.slot) })
    }
}
