//! What the engine asks of a language model: [`LanguageModel`].
//!
//! A model owns numbered *slots*, the KV caches of token sequences. The engine keeps each slot's ledger (which tokens it
//! holds) and feeds *spans*, runs of new tokens for the end of a slot. One call of [`LanguageModel::step`] takes a ragged
//! batch of spans, so that linear layers read their weights once for all of them. A model knows nothing of jobs,
//! priorities or text.

use std::ops::Range;

use runabout_text::{SamplingParams, TokenId};

/// Identifies a KV cache inside a model. An id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// New tokens for the end of one slot. A step has at most one span per slot; a span is never empty.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub slot: SlotId,
    pub tokens: &'a [TokenId],
    /// How many of the last `tokens` are drafts, which the model checks against what it draws in their place; fewer than
    /// there are tokens, and 0 without a `sample`.
    pub n_drafted: usize,
    /// How to draw the token after the last known one. `None`: none is drawn, as after a prefill chunk that is not the
    /// last.
    pub sample: Option<SampleRequest<'a>>,
}

/// How to draw the token after a span.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest<'a> {
    pub params: &'a SamplingParams,
    /// The prompt and everything generated, this span's tokens and drafts included. Penalties look at its end.
    pub history: &'a [TokenId],
    /// How many tokens the sequence has generated so far, drafts not counted. With the seed it determines the random
    /// number, so a seeded text depends neither on what else runs nor on drafts.
    pub n_generated: u64,
    /// The seed of this sequence: `params.seed`, or one that the engine drew.
    pub seed: u64,
    /// How many of the most likely tokens to report; `None`: report no log probabilities.
    pub top_logprobs: Option<usize>,
    /// The only tokens that may be drawn, at least one; `None`: any. Never together with drafts.
    pub allowed: Option<&'a [TokenId]>,
}

/// A drawn token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    pub token: TokenId,
    /// Present when log probabilities were asked for.
    pub logprobs: Option<TokenLogprobs>,
}

/// Natural-log probabilities of the model's own distribution, before temperature and truncation.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// Of the token that was drawn.
    pub logprob: f32,
    /// The most likely tokens, most likely first.
    pub top: Vec<(TokenId, f32)>,
}

/// Facts about a loaded model, which do not change.
#[derive(Clone, Debug)]
pub struct ModelDescription {
    /// The `model_type` of its config.json.
    pub architecture: String,
    /// The most tokens that a sequence may have, prompt and output together.
    pub context_length: usize,
    pub vocabulary_size: usize,
    /// Bytes of the weights as loaded, those of a draft model included.
    pub weights_bytes: u64,
    /// Bytes that one token takes in a slot, its share in a draft model's slot included.
    pub kv_bytes_per_token: u64,
    /// Slots take memory for this many tokens at a time; at least 1.
    pub kv_step_tokens: usize,
    /// Bits per weight of the most common quantization; `None` for weights that are not quantized.
    pub quantization_bits: Option<u32>,
    /// Where it runs, for display: `cpu` or `gpu`.
    pub device: String,
    /// The type in which products with quantized weights are computed, for display: `f32` or `int8`; `None` where it cannot
    /// be chosen.
    pub precision: Option<String>,
}

/// Memory as the device's allocator counts it, for all models on the device together.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryUse {
    pub active_bytes: u64,
    pub peak_bytes: u64,
    pub cache_bytes: u64,
}

/// A step failed. What the slots of its spans hold is unknown; other slots are unchanged.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    pub message: String,
}

/// A model on its device. It is created, used and dropped on the engine's thread.
pub trait LanguageModel {
    fn description(&self) -> &ModelDescription;

    /// Opens an empty slot.
    fn open_slot(&mut self) -> SlotId;

    /// Cuts a slot to its first `n_tokens`; it must hold as many.
    fn truncate_slot(&mut self, slot: SlotId, n_tokens: usize);

    /// How many tokens a slot has memory for, those that it holds included.
    fn slot_room(&self, slot: SlotId) -> usize;

    /// Frees the memory that a slot has beyond what it holds. That may take a copy of what it holds.
    fn fit_slot(&mut self, slot: SlotId);

    /// Closes a slot and frees its memory.
    fn close_slot(&mut self, slot: SlotId);

    /// Opens a slot with a copy of the first `n_tokens` of another, which must hold as many.
    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotId, StepError>;

    /// Appends to `slot` the keys and values that `from` holds at positions `tokens`, with the keys rotated to their new
    /// positions. They were computed behind other tokens than those in `slot`, so they are not what a step would yield.
    /// After an error, what `slot` holds is unknown.
    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError>;

    /// Feeds each span to its slot and draws the tokens asked for. Returns one entry per span, in order: empty where the
    /// span had no `sample`, else one token more than drafts were accepted. A draft is accepted if all before it are and it
    /// is the very token drawn in its place; the slot then holds the span up to the last accepted draft. The result depends
    /// neither on how tokens were cut into spans and steps, nor on drafts.
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError>;

    /// The same, where the next step is likely to feed each span's drawn token alone and to draw in the same way. A model
    /// may begin with that step before it returns this one's tokens, so that the device need not wait for them to be read.
    /// If another step comes instead, the result must be the same.
    fn step_ahead(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.step(spans)
    }

    fn memory(&self) -> MemoryUse;
}

impl<'a> SampleRequest<'a> {
    /// The draw after the first `n` of `n_drafted` drafts, as if these were accepted.
    #[must_use]
    pub fn after_drafts(&self, n: usize, n_drafted: usize) -> SampleRequest<'a> {
        let n_history = (self.history.len() + n).saturating_sub(n_drafted);
        SampleRequest {
            history: self.history.get(..n_history).unwrap_or(self.history),
            n_generated: self.n_generated + n as u64,
            ..*self
        }
    }
}

/// How many of `drafts` are accepted, given what was drawn in the place of each and after the last.
pub fn n_accepted(drafts: &[TokenId], drawn: impl IntoIterator<Item = TokenId>) -> usize {
    drafts.iter().zip(drawn).take_while(|(draft, drawn)| *draft == drawn).count()
}
