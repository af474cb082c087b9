//! What the engine asks of a language model: [`LanguageModel`].
//!
//! A model owns numbered *slots*, the KV caches of token sequences. The engine keeps each slot's ledger (the tokens it
//! holds) and feeds *spans*: new tokens for the end of a slot. One call of [`LanguageModel::step`] takes a ragged batch
//! of spans, so that linear layers read their weights once for all of them. A model knows nothing about jobs,
//! priorities or text.

use std::ops::Range;

use runabout_text::{SamplingParams, TokenId, TokenSet};

/// Identifies a KV cache inside a model. An id is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// New tokens for the end of one slot. A step has at most one span per slot; a span is never empty.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub slot: SlotId,
    pub tokens: &'a [TokenId],
    /// The number of drafts at the end of `tokens`, which the model checks against the tokens it draws. There is at
    /// least one other token, and without a `sample` there are no drafts.
    pub n_drafted: usize,
    /// How to draw the token after the last known one; `None` to draw none, as after a prefill chunk that is not the
    /// last.
    pub sample: Option<SampleRequest<'a>>,
}

/// How to draw the token after a span.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest<'a> {
    pub params: &'a SamplingParams,
    /// The prompt and everything generated, including this span's tokens and drafts. Penalties look at its end.
    pub history: &'a [TokenId],
    /// The number of tokens that the sequence has generated so far, without drafts. Together with the seed it
    /// determines the random number, so a seeded text depends neither on what else runs nor on drafts.
    pub n_generated: u64,
    /// The seed of this sequence: `params.seed`, or one that the engine drew.
    pub seed: u64,
    /// The number of most likely tokens to report; `None` reports no log probabilities.
    pub top_logprobs: Option<usize>,
    /// The only tokens that may be drawn, at least one in each set: after the last known token, and then after each
    /// draft. Empty if any may be drawn.
    pub allowed: &'a [TokenSet],
}

/// A drawn token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    pub token: TokenId,
    /// The natural logarithm of its probability under the model itself: before bias, penalties and temperature. If only
    /// some tokens were allowed, among these.
    pub own_logprob: f32,
    /// Present if log probabilities were requested.
    pub logprobs: Option<TokenLogprobs>,
}

/// Natural-log probabilities of the model's distribution, after logit bias and penalties, before temperature and
/// truncation.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// Of the token that was drawn.
    pub logprob: f32,
    /// The most likely tokens, most likely first.
    pub top: Vec<(TokenId, f32)>,
}

/// Constant facts about a loaded model.
#[derive(Clone, Debug)]
pub struct ModelDescription {
    /// The `model_type` of its config.json.
    pub architecture: String,
    /// The most tokens that a sequence may have, prompt and output together.
    pub context_length: usize,
    pub vocabulary_size: usize,
    /// The size of the weights as loaded, including those of a draft model.
    pub weights_bytes: u64,
    /// The size of one token in a slot, including its share in a draft model's slot.
    pub kv_bytes_per_token: u64,
    /// Slots allocate memory for this many tokens at a time; at least 1.
    pub kv_step_tokens: usize,
    /// The bits per weight of the most common quantization; `None` if the weights are not quantized.
    pub quantization_bits: Option<u32>,
    /// The device, for display: `cpu` or `gpu`.
    pub device: String,
    /// The type in which products with quantized weights are computed, for display: `f32` or `int8`; `None` if there is
    /// no choice.
    pub precision: Option<String>,
}

/// Memory as the device's allocator counts it, for all models on the device together.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryUse {
    pub active_bytes: u64,
    pub peak_bytes: u64,
    pub cache_bytes: u64,
}

/// A step failed. The contents of its spans' slots are undefined; other slots are unchanged.
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

    /// Truncates a slot to its first `n_tokens`; it must hold at least as many.
    fn truncate_slot(&mut self, slot: SlotId, n_tokens: usize);

    /// The number of tokens that a slot has memory for, including those it holds.
    fn slot_room(&self, slot: SlotId) -> usize;

    /// Frees the memory that a slot does not need. This may require a copy of what it holds.
    fn fit_slot(&mut self, slot: SlotId);

    /// Closes a slot and frees its memory.
    fn close_slot(&mut self, slot: SlotId);

    /// Opens a slot with a copy of the first `n_tokens` of another, which must hold at least as many.
    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotId, StepError>;

    /// Appends to `slot` the keys and values that `from` holds at positions `tokens`, with the keys rotated to their
    /// new positions. They were computed after other tokens than those in `slot`, so they differ from what a step would
    /// compute. After an error, the contents of `slot` are undefined.
    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError>;

    /// Feeds each span to its slot and draws the requested tokens. Returns one entry per span, in order: empty if the
    /// span has no `sample`, else one token more than the number of accepted drafts. A draft is accepted if all drafts
    /// before it are and it equals the token drawn at its position; afterwards the slot holds the span up to the last
    /// accepted draft. The result depends neither on how tokens were divided into spans and steps, nor on drafts.
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError>;

    /// Like [`Self::step`], if the next step will probably feed only each span's drawn token and draw in the same way.
    /// A model may start that step before it returns this step's tokens, so that the device need not wait until they
    /// are read. If another step follows instead, its result must be the same as without this.
    fn step_ahead(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.step(spans)
    }

    fn memory(&self) -> MemoryUse;
}

impl<'a> SampleRequest<'a> {
    /// The request for the draw after the first `n` of `n_drafted` drafts, assuming that these are accepted.
    #[must_use]
    pub fn after_drafts(&self, n: usize, n_drafted: usize) -> SampleRequest<'a> {
        let n_history = (self.history.len() + n).saturating_sub(n_drafted);
        SampleRequest {
            history: self.history.get(..n_history).unwrap_or(self.history),
            n_generated: self.n_generated + n as u64,
            allowed: self.allowed.get(n..=n).unwrap_or_default(),
            ..*self
        }
    }

    /// The only tokens that may be drawn first; `None` if any may.
    #[must_use]
    pub fn allowed_first(&self) -> Option<&'a TokenSet> {
        self.allowed.first()
    }
}

/// The number of accepted `drafts`, given the token drawn at the position of each and after the last.
pub fn n_accepted(drafts: &[TokenId], drawn: impl IntoIterator<Item = TokenId>) -> usize {
    drafts.iter().zip(drawn).take_while(|(draft, drawn)| *draft == drawn).count()
}
