//! What the engine asks of a language model.
//!
//! A model owns numbered *slots*: the KV caches of token sequences. The engine keeps each slot's ledger
//! (which tokens it holds) and feeds *spans*, runs of new tokens at the end of a slot. One call of
//! [`LanguageModel::step`] takes a ragged batch of spans, so that linear layers read their weights once for
//! all of them. A model knows nothing of jobs, priorities or text.

use std::ops::Range;

use runabout_text::{SamplingParams, TokenId};

/// Names a KV cache inside a model. Never reused while the slot is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// New tokens for the end of one slot. At most one span per slot in a step; never empty.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub slot: SlotId,
    pub tokens: &'a [TokenId],
    /// How many of the last `tokens` are guesses at what the model draws after those before them; fewer than there are
    /// tokens, and 0 without a `sample`.
    pub n_drafted: usize,
    /// Whether, and how, the token after the last known one is drawn. `None` for a prefill chunk that is not the last.
    pub sample: Option<SampleRequest<'a>>,
}

/// How the token after a span is drawn.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest<'a> {
    pub params: &'a SamplingParams,
    /// The prompt and all that was generated, this span's tokens included, drafts too. Penalties look at its end.
    pub history: &'a [TokenId],
    /// How many tokens the sequence has generated so far, drafts not counted. With the seed it names the random draw,
    /// so a seeded text depends neither on what else runs nor on guesses.
    pub n_generated: u64,
    /// The seed of this sequence: `params.seed`, or one the engine drew.
    pub seed: u64,
    /// How many of the most likely tokens to report; `None`: no log probabilities at all.
    pub top_logprobs: Option<usize>,
    /// The only tokens that may be drawn, at least one; `None`: any. Not together with drafts.
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

/// Facts of a loaded model that do not change.
#[derive(Clone, Debug)]
pub struct ModelDescription {
    /// `model_type` of config.json.
    pub architecture: String,
    /// Tokens a sequence may hold, prompt and output together.
    pub context_length: usize,
    pub vocabulary_size: usize,
    /// Bytes of the weights as loaded, those of a draft model included.
    pub weights_bytes: u64,
    /// Bytes that one token takes in a slot, and in a draft model's.
    pub kv_bytes_per_token: u64,
    /// A slot takes memory for so many tokens at a time; at least 1.
    pub kv_step_tokens: usize,
    /// Bits per weight of the most common quantization; `None` for plain weights.
    pub quantization_bits: Option<u32>,
    /// Where it runs, for people: `cpu`, `gpu`.
    pub device: String,
    /// What products with quantized weights are computed in, for people, where that can be chosen: `f32`, `int8`.
    pub precision: Option<String>,
}

/// Memory in bytes, as the device's allocator counts it: of all models on the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryUse {
    pub active_bytes: u64,
    pub peak_bytes: u64,
    pub cache_bytes: u64,
}

/// A step failed. The slots of its spans hold nothing that can be trusted; other slots are untouched.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    pub message: String,
}

/// A model on its device. Lives and dies on the engine's thread.
pub trait LanguageModel {
    fn description(&self) -> &ModelDescription;

    /// Opens an empty slot.
    fn open_slot(&mut self) -> SlotId;

    /// Cuts a slot back to its first `n_tokens`, which must not exceed what it holds.
    fn truncate_slot(&mut self, slot: SlotId, n_tokens: usize);

    /// For how many tokens a slot has memory, those that it holds among them.
    fn slot_room(&self, slot: SlotId) -> usize;

    /// Gives back what memory a slot has beyond what it holds, which may take a copy of that.
    fn fit_slot(&mut self, slot: SlotId);

    /// Frees a slot. Its id is not used again.
    fn close_slot(&mut self, slot: SlotId);

    /// Opens a slot that holds the first `n_tokens` of another, which must hold as many.
    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotId, StepError>;

    /// Appends to a slot what another holds of `tokens`, without computing it: their keys are turned to their new
    /// positions. What those tokens saw where they were computed stays in them, so they are not what a step would
    /// have made of them. After an error `slot` holds nothing that can be trusted.
    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError>;

    /// Feeds each span to its slot and draws the tokens asked for: one entry per span, in order. An entry is empty
    /// where the span had no `sample`; else it has as many drawn tokens as there were drafts that proved right, and one
    /// more. A draft is right when it is the very token that is drawn in its place; the slot then holds the span up to
    /// the last right draft. The result does not depend on how tokens were cut into spans or steps, nor on drafts.
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError>;

    /// The same, where the next step is likely to feed each span's drawn token alone, and to draw again in the same way.
    /// A model may begin with that step before it gives back this one's tokens, so that a device need not wait for
    /// anybody to read them; whatever comes instead, nothing can be told from it.
    fn step_ahead(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.step(spans)
    }

    fn memory(&self) -> MemoryUse;
}

impl<'a> SampleRequest<'a> {
    /// The draw after the first `n` of `n_drafted` drafts, taken as right.
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

/// How many of `drafts` proved right, given what was drawn in the place of each and after the last.
pub fn n_right(drafts: &[TokenId], drawn: impl IntoIterator<Item = TokenId>) -> usize {
    drafts.iter().zip(drawn).take_while(|(draft, drawn)| *draft == drawn).count()
}
