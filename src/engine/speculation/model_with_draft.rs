//! The model, together with its draft model if it has one.
//!
//! [`ModelWithDraft`] is itself a [`LanguageModel`], so that whatever happens to a slot of the model (rewinding,
//! copying, closing) also happens to the draft model's slot for the same text.
//!
//! It knows neither jobs nor time.

use std::ops::Range;

use runabout_text::TokenId;

use super::draft_model::{DraftModel, DraftRequest};
use crate::model::{LanguageModel, MemoryUse, ModelDescription, Sampled, SlotCopy, SlotId, Span, StepError};

/// A model that may have a draft model.
pub(crate) struct ModelWithDraft {
    model: Box<dyn LanguageModel>,
    draft: Option<DraftModel>,
    /// The model's description, including the draft model's weights, keys and values.
    description: ModelDescription,
}

impl ModelWithDraft {
    /// `draft` must have the same vocabulary as `model`, apart from padding, and be on the same device.
    pub(crate) fn new(model: Box<dyn LanguageModel>, draft: Option<Box<dyn LanguageModel>>) -> Self {
        let mut description = model.description().clone();
        if let Some(draft) = &draft {
            description.weights_bytes += draft.description().weights_bytes;
            let (cost, of_draft) = (&mut description.slot_cost, draft.description().slot_cost);
            // The draft model's slot has one checkpoint, however many the model's has.
            cost.fixed_bytes += of_draft.fixed_bytes + of_draft.checkpoint_bytes;
            cost.bytes_per_token += of_draft.bytes_per_token;
            cost.step_tokens = cost.step_tokens.max(of_draft.step_tokens);
            let (cost, of_draft) = (&mut description.step_cost, draft.description().step_cost);
            // Never both at a time.
            cost.fixed_bytes = cost.fixed_bytes.max(of_draft.fixed_bytes);
            cost.bytes_per_token = cost.bytes_per_token.max(of_draft.bytes_per_token);
            cost.bytes_per_draw = cost.bytes_per_draw.max(of_draft.bytes_per_draw);
        }
        Self { model, draft: draft.map(DraftModel::new), description }
    }

    /// The draft model's fraction of all weights, from 0 to 1; `None` without a draft model.
    pub(crate) fn draft_share(&self) -> Option<f64> {
        let draft_bytes = self.draft.as_ref()?.description().weights_bytes;
        Some(draft_bytes as f64 / self.description.weights_bytes.max(1) as f64)
    }

    /// The number of known `tokens` that the draft model must read before it can draft; `None` if it cannot read them
    /// or there is none.
    pub(crate) fn n_unread(&self, slot: SlotId, tokens: &[TokenId]) -> Option<usize> {
        self.draft.as_ref()?.n_unread(slot, tokens)
    }

    /// Lets the draft model read the next `n` of the known `tokens`, but never the last one.
    pub(crate) fn read(&mut self, slot: SlotId, tokens: &[TokenId], n: usize) {
        if let Some(draft) = &mut self.draft {
            draft.read(slot, tokens, n);
        }
    }

    /// Drafts for each request, whose history the draft model [can read](Self::n_unread); no drafts if it fails.
    pub(crate) fn draft(&mut self, requests: &[DraftRequest<'_>]) -> Vec<Vec<TokenId>> {
        match &mut self.draft {
            Some(draft) => draft.draft(requests, self.model.description().vocabulary_size),
            None => vec![Vec::new(); requests.len()],
        }
    }
}

impl LanguageModel for ModelWithDraft {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        self.model.open_slot()
    }

    /// The draft model's slot may have to return to less; it then reads again when it must draft.
    fn resume_point(&self, slot: SlotId, n_tokens: usize) -> usize {
        self.model.resume_point(slot, n_tokens)
    }

    fn rewind_slot(&mut self, slot: SlotId, n_tokens: usize) -> usize {
        let n_tokens = self.model.rewind_slot(slot, n_tokens);
        if let Some(draft) = &mut self.draft {
            draft.rewind(slot, n_tokens);
        }
        n_tokens
    }

    fn drop_checkpoint(&mut self, slot: SlotId, n_tokens: usize) {
        self.model.drop_checkpoint(slot, n_tokens);
    }

    fn slot_room(&self, slot: SlotId) -> usize {
        self.model.slot_room(slot)
    }

    fn fit_slot(&mut self, slot: SlotId) {
        self.model.fit_slot(slot);
        if let Some(draft) = &mut self.draft {
            draft.fit(slot);
        }
    }

    fn close_slot(&mut self, slot: SlotId) {
        self.model.close_slot(slot);
        if let Some(draft) = &mut self.draft {
            draft.close(slot);
        }
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotCopy, StepError> {
        let copy = self.model.copy_slot(from, n_tokens)?;
        if let Some(draft) = &mut self.draft {
            draft.copy(from, copy);
        }
        Ok(copy)
    }

    /// The draft model's slot is left unchanged: it reads those tokens when it must draft after them.
    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        self.model.append_shifted(slot, from, tokens)
    }

    /// A sequence that drops tokens uses no draft model, so that one has no slot.
    fn drop_tokens(&mut self, slot: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        self.model.drop_tokens(slot, tokens)
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.model.step(spans)
    }

    fn step_ahead(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.model.step_ahead(spans)
    }

    fn memory(&self) -> MemoryUse {
        self.model.memory()
    }
}
