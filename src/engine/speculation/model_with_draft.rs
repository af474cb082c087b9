//! The model, and a smaller one that guesses for it.
//!
//! A [`Pair`] is a [`LanguageModel`]: what becomes of a slot of the model becomes of the draft model's slot for the same
//! tokens, be it cut, copied or closed. The draft model reads only where guesses are wanted, so its slot may hold less;
//! and it holds guesses of which the model may know better. Its own ledger says what it holds, and it is cut to what is
//! right before it is used again.
//!
//! Knows neither jobs nor time. The draft model can do no harm: where it fails there are no guesses.

use std::{collections::HashMap, ops::Range};

use runabout_text::TokenId;

use crate::model::{
    LanguageModel, MemoryUse, ModelDescription, SampleRequest, Sampled, SlotId, Span, StepError,
};

pub(crate) struct Pair {
    model: Box<dyn LanguageModel>,
    draft: Option<Draft>,
    /// Of the model, with the draft model's weights, keys and values counted in.
    description: ModelDescription,
}

struct Draft {
    model: Box<dyn LanguageModel>,
    /// By the model's slots.
    slots: HashMap<SlotId, Shadow>,
}

/// The draft model's slot for the tokens of one of the model's.
struct Shadow {
    id: SlotId,
    ledger: Vec<TokenId>,
}

/// Guesses that somebody wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// The model's.
    pub(crate) slot: SlotId,
    /// How the model will draw the first of them. Its history is all that is known. The draft model draws in the same
    /// way, with the same random numbers, so that where the two models are of one mind they say the same.
    pub(crate) sample: SampleRequest<'a>,
    /// Nothing is guessed beyond one of these.
    pub(crate) end_tokens: &'a [TokenId],
    /// So many at most.
    pub(crate) n_guesses: usize,
}

impl Pair {
    pub(crate) fn new(model: Box<dyn LanguageModel>, draft: Option<Box<dyn LanguageModel>>) -> Self {
        let mut description = model.description().clone();
        if let Some(draft) = &draft {
            description.weights_bytes += draft.description().weights_bytes;
            description.kv_bytes_per_token += draft.description().kv_bytes_per_token;
            description.kv_step_tokens = description.kv_step_tokens.max(draft.description().kv_step_tokens);
        }
        let draft = draft.map(|model| Draft { model, slots: HashMap::new() });
        Self { model, draft, description }
    }

    /// The draft model's part of the weights of both; `None` without one.
    pub(crate) fn draft_share(&self) -> Option<f64> {
        let draft = self.draft.as_ref()?.model.description().weights_bytes;
        Some(draft as f64 / self.description.weights_bytes.max(1) as f64)
    }

    /// How many of the known `tokens` the draft model has to read before it can guess what follows; `None` where it
    /// can not at all.
    pub(crate) fn n_unread(&self, slot: SlotId, tokens: &[TokenId]) -> Option<usize> {
        let draft = self.draft.as_ref()?;
        let description = draft.model.description();
        // The vocabulary is one, but its padding may differ.
        let knows = |it: &TokenId| (*it as usize) < description.vocabulary_size;
        let fits = tokens.len() < description.context_length;
        let n_read = draft.slots.get(&slot).map_or(0, |it| it.n_right(tokens));
        (fits && tokens[n_read..].iter().all(knows)).then(|| tokens.len() - n_read)
    }

    /// Lets the draft model read the next `n` of the known `tokens`, all but the last of them at most.
    pub(crate) fn read(&mut self, slot: SlotId, tokens: &[TokenId], n: usize) {
        let Some(draft) = &mut self.draft else { return };
        let n_read = draft.catch_up(slot, tokens);
        let end = tokens.len().saturating_sub(1).min(n_read + n);
        if n_read < end {
            draft.feed(&[(slot, &tokens[..end], None)]);
        }
    }

    /// Guesses for each of the wishes, whose histories the draft model can read; none where it fails.
    pub(crate) fn guess(&mut self, wishes: &[Wish<'_>]) -> Vec<Vec<TokenId>> {
        let n_known: Vec<usize> = wishes.iter().map(|it| it.sample.history.len()).collect();
        let mut texts: Vec<Vec<TokenId>> = wishes.iter().map(|it| it.sample.history.to_vec()).collect();
        if let Some(draft) = &mut self.draft {
            let vocabulary_size = self.model.description().vocabulary_size;
            for (wish, text) in wishes.iter().zip(&texts) {
                draft.catch_up(wish.slot, text);
            }
            for n_done in 0.. {
                let goes_on = |idx: &usize| {
                    let (wish, text) = (&wishes[*idx], &texts[*idx]);
                    let is_at_end = n_done > 0 && text.last().is_some_and(|it| wish.end_tokens.contains(it));
                    text.len() == n_known[*idx] + n_done && n_done < wish.n_guesses && !is_at_end
                };
                let active: Vec<usize> = (0..wishes.len()).filter(goes_on).collect();
                if active.is_empty() {
                    break;
                }
                let spans: Vec<_> = active
                    .iter()
                    .map(|&idx| {
                        let n_generated = wishes[idx].sample.n_generated + n_done as u64;
                        let sample = SampleRequest {
                            history: &texts[idx],
                            n_generated,
                            top_logprobs: None,
                            ..wishes[idx].sample
                        };
                        (wishes[idx].slot, texts[idx].as_slice(), Some(sample))
                    })
                    .collect();
                let drawn = draft.feed(&spans);
                for (idx, token) in active.into_iter().zip(drawn) {
                    texts[idx].extend(token.filter(|it| (*it as usize) < vocabulary_size));
                }
            }
        }
        texts.into_iter().zip(n_known).map(|(mut text, n_known)| text.split_off(n_known)).collect()
    }
}

impl Shadow {
    /// How many tokens it holds of the beginning of `tokens`; all but the last at most, which is to be fed.
    fn n_right(&self, tokens: &[TokenId]) -> usize {
        let n_alike = self.ledger.iter().zip(tokens).take_while(|(held, known)| held == known).count();
        n_alike.min(tokens.len().saturating_sub(1))
    }
}

impl Draft {
    /// Cuts a slot to what it holds of the beginning of `tokens`, and says how many those are. Opens one where there is
    /// none.
    fn catch_up(&mut self, slot: SlotId, tokens: &[TokenId]) -> usize {
        let model = &mut self.model;
        let shadow =
            self.slots.entry(slot).or_insert_with(|| Shadow { id: model.open_slot(), ledger: Vec::new() });
        let n_right = shadow.n_right(tokens);
        shadow.cut(model.as_mut(), n_right);
        n_right
    }

    /// Feeds each slot what it does not hold yet of these tokens, and draws what was asked for.
    fn feed(&mut self, texts: &[(SlotId, &[TokenId], Option<SampleRequest<'_>>)]) -> Vec<Option<TokenId>> {
        let spans: Vec<Span<'_>> = texts
            .iter()
            .filter_map(|(slot, tokens, sample)| {
                let shadow = self.slots.get(slot)?;
                let tokens = &tokens[shadow.ledger.len()..];
                Some(Span { slot: shadow.id, tokens, n_drafted: 0, sample: *sample })
            })
            .collect();
        match self.model.step(&spans) {
            Ok(drawn) => {
                for (slot, tokens, _) in texts {
                    if let Some(shadow) = self.slots.get_mut(slot) {
                        shadow.ledger.extend_from_slice(&tokens[shadow.ledger.len()..]);
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

    fn close(&mut self, slot: SlotId) {
        if let Some(shadow) = self.slots.remove(&slot) {
            self.model.close_slot(shadow.id);
        }
    }
}

impl Shadow {
    fn cut(&mut self, model: &mut dyn LanguageModel, n_tokens: usize) {
        if n_tokens < self.ledger.len() {
            model.truncate_slot(self.id, n_tokens);
            self.ledger.truncate(n_tokens);
        }
    }
}

impl LanguageModel for Pair {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        self.model.open_slot()
    }

    fn truncate_slot(&mut self, slot: SlotId, n_tokens: usize) {
        self.model.truncate_slot(slot, n_tokens);
        if let Some(draft) = &mut self.draft
            && let Some(shadow) = draft.slots.get_mut(&slot)
        {
            shadow.cut(draft.model.as_mut(), n_tokens);
        }
    }

    fn slot_room(&self, slot: SlotId) -> usize {
        self.model.slot_room(slot)
    }

    fn fit_slot(&mut self, slot: SlotId) {
        self.model.fit_slot(slot);
        if let Some(draft) = &mut self.draft
            && let Some(shadow) = draft.slots.get(&slot)
        {
            draft.model.fit_slot(shadow.id);
        }
    }

    fn close_slot(&mut self, slot: SlotId) {
        self.model.close_slot(slot);
        if let Some(draft) = &mut self.draft {
            draft.close(slot);
        }
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotId, StepError> {
        let copy = self.model.copy_slot(from, n_tokens)?;
        if let Some(draft) = &mut self.draft
            && let Some(shadow) = draft.slots.get(&from)
        {
            let n_tokens = n_tokens.min(shadow.ledger.len());
            let ledger = shadow.ledger[..n_tokens].to_vec();
            // Where it can not be copied it is read again.
            if let Ok(id) = draft.model.copy_slot(shadow.id, n_tokens) {
                draft.slots.insert(copy, Shadow { id, ledger });
            }
        }
        Ok(copy)
    }

    /// The draft model reads those tokens when it is asked to guess behind them.
    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        self.model.append_shifted(slot, from, tokens)
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
