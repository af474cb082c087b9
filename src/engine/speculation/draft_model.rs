//! The draft model: a smaller model that drafts for the model.
//!
//! It has its own slot for each of the model's slots whose text it was asked to continue. It reads text only when
//! drafts are needed, so its slot may hold less than the model's; and the slot holds drafts that the model may have
//! rejected. Its own ledger says what a slot holds, and the slot is rewound to the known tokens before it is used again.
//! If it returns to checkpoints only, it has one, before its last drafts.
//!
//! If the draft model fails, there are no drafts, and nothing else changes.

use std::collections::HashMap;

use runabout_text::TokenId;

use crate::model::{LanguageModel, ModelDescription, SampleRequest, SlotCopy, SlotId, Span};

/// The model that drafts, and its slots.
pub(super) struct DraftModel {
    model: Box<dyn LanguageModel>,
    /// By the model's slot with the same text.
    slots: HashMap<SlotId, DraftSlot>,
}

/// A slot of the draft model.
struct DraftSlot {
    id: SlotId,
    ledger: Vec<TokenId>,
    /// The length at which it has a checkpoint.
    checkpoint: Option<usize>,
}

/// A request for drafts for one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftRequest<'a> {
    /// The sequence's slot in the model.
    pub(crate) slot: SlotId,
    /// How the model will draw the first of them; the history has all known tokens. The draft model draws in the same
    /// way with the same random numbers, so where the two models agree they draw the same token.
    pub(crate) sample: SampleRequest<'a>,
    /// Nothing is drafted after one of these.
    pub(crate) end_tokens: &'a [TokenId],
    /// The most drafts to make.
    pub(crate) n_drafts: usize,
}

impl DraftModel {
    pub(super) fn new(model: Box<dyn LanguageModel>) -> Self {
        Self { model, slots: HashMap::new() }
    }

    pub(super) fn description(&self) -> &ModelDescription {
        self.model.description()
    }

    /// The number of known `tokens` that it must read before it can draft; `None` if it cannot read them.
    pub(super) fn n_unread(&self, slot: SlotId, tokens: &[TokenId]) -> Option<usize> {
        let description = self.model.description();
        // Both have the same vocabulary, but its padding may differ.
        let knows = |it: &TokenId| (*it as usize) < description.vocabulary_size;
        let fits = tokens.len() < description.context_length;
        let n_read = self.slots.get(&slot).map_or(0, |it| it.n_usable(self.model.as_ref(), tokens));
        (fits && tokens[n_read..].iter().all(knows)).then(|| tokens.len() - n_read)
    }

    /// Reads the next `n` of the known `tokens`, but never the last one.
    pub(super) fn read(&mut self, slot: SlotId, tokens: &[TokenId], n: usize) {
        let n_read = self.rewind_to_known(slot, tokens);
        let end = tokens.len().saturating_sub(1).min(n_read + n);
        if n_read < end {
            self.feed(&[(slot, &tokens[..end], None)], false);
        }
    }

    /// Drafts for each request, whose history it [can read](Self::n_unread); no drafts if it fails. Drafts must be
    /// below `vocabulary_size`, the model's.
    pub(super) fn draft(
        &mut self,
        requests: &[DraftRequest<'_>],
        vocabulary_size: usize,
    ) -> Vec<Vec<TokenId>> {
        let n_known: Vec<usize> = requests.iter().map(|it| it.sample.history.len()).collect();
        let mut texts: Vec<Vec<TokenId>> = requests.iter().map(|it| it.sample.history.to_vec()).collect();
        for (request, text) in requests.iter().zip(&texts) {
            self.rewind_to_known(request.slot, text);
        }
        for n_done in 0.. {
            let continues = |idx: &usize| {
                let (request, text) = (&requests[*idx], &texts[*idx]);
                let is_at_end = n_done > 0 && text.last().is_some_and(|it| request.end_tokens.contains(it));
                text.len() == n_known[*idx] + n_done && n_done < request.n_drafts && !is_at_end
            };
            let active: Vec<usize> = (0..requests.len()).filter(continues).collect();
            if active.is_empty() {
                break;
            }
            let spans: Vec<_> = active
                .iter()
                .map(|&idx| {
                    let n_generated = requests[idx].sample.n_generated + n_done as u64;
                    let sample = SampleRequest {
                        history: &texts[idx],
                        n_generated,
                        top_logprobs: None,
                        ..requests[idx].sample
                    };
                    (requests[idx].slot, texts[idx].as_slice(), Some(sample))
                })
                .collect();
            // The model may reject any of the drafts, but not what was known before.
            let drawn = self.feed(&spans, n_done == 0);
            for (idx, token) in active.into_iter().zip(drawn) {
                texts[idx].extend(token.filter(|it| (*it as usize) < vocabulary_size));
            }
        }
        texts.into_iter().zip(n_known).map(|(mut text, n_known)| text.split_off(n_known)).collect()
    }

    /// Rewinds its slot like the model's.
    pub(super) fn rewind(&mut self, slot: SlotId, n_tokens: usize) {
        if let Some(draft_slot) = self.slots.get_mut(&slot) {
            draft_slot.rewind(self.model.as_mut(), n_tokens);
        }
    }

    /// Frees the memory that its slot does not need.
    pub(super) fn fit(&mut self, slot: SlotId) {
        if let Some(draft_slot) = self.slots.get(&slot) {
            self.model.fit_slot(draft_slot.id);
        }
    }

    /// Copies its slot as the model did. If that fails, the tokens are read again when drafts are needed.
    pub(super) fn copy(&mut self, from: SlotId, to: SlotCopy) {
        let Some(draft_slot) = self.slots.get(&from) else { return };
        let n_tokens = to.n_tokens.min(draft_slot.ledger.len());
        if let Ok(copy) = self.model.copy_slot(draft_slot.id, n_tokens) {
            let ledger = draft_slot.ledger[..copy.n_tokens].to_vec();
            self.slots.insert(to.slot, DraftSlot { id: copy.slot, ledger, checkpoint: None });
        }
    }

    /// Closes its slot, if it has one.
    pub(super) fn close(&mut self, slot: SlotId) {
        if let Some(draft_slot) = self.slots.remove(&slot) {
            self.model.close_slot(draft_slot.id);
        }
    }

    /// Rewinds a slot to the part that is the beginning of `tokens`, and returns its length. Opens a slot if there is
    /// none.
    fn rewind_to_known(&mut self, slot: SlotId, tokens: &[TokenId]) -> usize {
        let model = &mut self.model;
        let open = || DraftSlot { id: model.open_slot(), ledger: Vec::new(), checkpoint: None };
        let draft_slot = self.slots.entry(slot).or_insert_with(open);
        let n_usable = draft_slot.n_usable(self.model.as_ref(), tokens);
        draft_slot.rewind(self.model.as_mut(), n_usable);
        n_usable
    }

    /// Feeds each slot the tokens that it does not hold yet, and draws the requested tokens. With `checkpoint`, the
    /// slots can return to the end of these tokens.
    fn feed(
        &mut self,
        texts: &[(SlotId, &[TokenId], Option<SampleRequest<'_>>)],
        checkpoint: bool,
    ) -> Vec<Option<TokenId>> {
        let checkpoint = checkpoint && self.model.description().slot_cost.needs_checkpoints();
        if checkpoint {
            for (slot, ..) in texts {
                if let Some(draft_slot) = self.slots.get_mut(slot)
                    && let Some(at) = draft_slot.checkpoint.take()
                {
                    self.model.drop_checkpoint(draft_slot.id, at);
                }
            }
        }
        let spans: Vec<Span<'_>> = texts
            .iter()
            .filter_map(|(slot, tokens, sample)| {
                let draft_slot = self.slots.get(slot)?;
                let tokens = &tokens[draft_slot.ledger.len()..];
                Some(Span { slot: draft_slot.id, tokens, n_drafted: 0, sample: *sample, checkpoint })
            })
            .collect();
        match self.model.step(&spans) {
            Ok(drawn) => {
                for (slot, tokens, _) in texts {
                    if let Some(draft_slot) = self.slots.get_mut(slot) {
                        draft_slot.ledger.extend_from_slice(&tokens[draft_slot.ledger.len()..]);
                        if checkpoint {
                            draft_slot.checkpoint = Some(tokens.len());
                        }
                    }
                }
                drawn.iter().map(|it| it.first().map(|it| it.token)).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "the draft model failed");
                for (slot, ..) in texts {
                    self.close(*slot);
                }
                vec![None; texts.len()]
            }
        }
    }
}

impl DraftSlot {
    /// The number of tokens that it can keep of those that are the beginning of `tokens`; never the last one, which must
    /// be fed.
    fn n_usable(&self, model: &dyn LanguageModel, tokens: &[TokenId]) -> usize {
        let n_same = self.ledger.iter().zip(tokens).take_while(|(held, known)| held == known).count();
        model.resume_point(self.id, n_same.min(tokens.len().saturating_sub(1)))
    }

    fn rewind(&mut self, model: &mut dyn LanguageModel, n_tokens: usize) {
        if n_tokens < self.ledger.len() {
            let n_tokens = model.rewind_slot(self.id, n_tokens);
            self.ledger.truncate(n_tokens);
            self.checkpoint = self.checkpoint.filter(|it| *it <= n_tokens);
        }
    }
}
