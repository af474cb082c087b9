//! What the engine asks of a language model: [`LanguageModel`].
//!
//! A model owns numbered *slots*, each with the state of one token sequence: keys and values, and in some models also a
//! recurrent state or a sliding window. The engine keeps each slot's ledger (the tokens it holds) and feeds *spans*: new
//! tokens for the end of a slot. One call of [`LanguageModel::step`] takes a ragged batch of spans, so that linear
//! layers read their weights once for all of them. A model knows nothing about jobs, priorities or text.
//!
//! Keys and values can be cut off after any token, but other states cannot. So a slot returns only to its *resume
//! points*, which the model knows: its current length, 0, and whatever its kinds of state allow together. A *checkpoint*
//! makes one: at the end of a span, the model keeps what it needs to return there. The engine asks for checkpoints where
//! later prompts will probably depart, and drops them when their memory is needed ([`SlotCost`]).

use std::ops::Range;

use runabout_text::{SamplingParams, TokenId, TokenSet};
use serde::{Deserialize, Serialize};

/// Identifies the state of one sequence inside a model. An id is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Whether to make a checkpoint at the end of the span. A span with drafts has none, and neither has a model whose
    /// checkpoints [cost nothing](SlotCost::checkpoint_bytes).
    pub checkpoint: bool,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// Of the token that was drawn.
    pub logprob: f32,
    /// The most likely tokens, most likely first.
    pub top: Vec<(TokenId, f32)>,
}

/// Constant facts about a loaded model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelDescription {
    /// The `model_type` of its config.json.
    pub architecture: String,
    /// The most tokens that a sequence may have, prompt and output together.
    pub context_length: usize,
    pub vocabulary_size: usize,
    /// The size of the weights as loaded, including those of a draft model.
    pub weights_bytes: u64,
    /// The memory that slots take, including those of a draft model.
    pub slot_cost: SlotCost,
    /// The memory that a step takes beside them; with a draft model, the larger of both models' steps.
    pub step_cost: StepCost,
    /// Whether keys can be moved to other positions, see [`LanguageModel::append_shifted`].
    pub can_shift: bool,
    /// The bits per weight of the most common quantization; `None` if the weights are not quantized.
    pub quantization_bits: Option<u32>,
    /// The device, for display: `cpu` or `gpu`.
    pub device: String,
    /// The type in which products with quantized weights are computed, for display: `f32` or `int8`; `None` if there is
    /// no choice.
    pub precision: Option<String>,
}

/// The memory that a slot takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCost {
    /// The size of what a slot has however many tokens it holds, such as a recurrent state or a sliding window.
    pub fixed_bytes: u64,
    /// The size of each token that it has memory for.
    pub bytes_per_token: u64,
    /// The size of each of its checkpoints. 0 if slots return to any length; then no checkpoints are asked for.
    pub checkpoint_bytes: u64,
    /// Memory is allocated for this many tokens at a time; at least 1.
    pub step_tokens: usize,
}

/// The memory that a step takes beside the slots, at most: activations, logits, and what the allocator does not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCost {
    /// Whatever the step feeds.
    pub fixed_bytes: u64,
    /// For each token that it feeds.
    pub bytes_per_token: u64,
    /// For each token that it draws, whose logits it computes.
    pub bytes_per_draw: u64,
}

impl StepCost {
    /// The memory of a step that feeds `n_tokens` and draws `n_draws`.
    pub fn bytes(self, n_tokens: usize, n_draws: usize) -> u64 {
        let per_token = self.bytes_per_token.saturating_mul(n_tokens as u64);
        let per_draw = self.bytes_per_draw.saturating_mul(n_draws as u64);
        self.fixed_bytes.saturating_add(per_token).saturating_add(per_draw)
    }
}

/// Memory as the device's allocator counts it, for all models on the device together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    pub active_bytes: u64,
    pub peak_bytes: u64,
    pub cache_bytes: u64,
}

/// A new slot with a copy of the beginning of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCopy {
    pub slot: SlotId,
    /// The number of tokens that it holds.
    pub n_tokens: usize,
}

/// A step failed. The contents of its spans' slots are undefined; other slots are unchanged.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    pub message: String,
}

/// A model on its device. It is created, used and dropped on the engine's thread. A model that cannot go on panics, which
/// ends the engine: every job is answered with the message.
pub trait LanguageModel {
    fn description(&self) -> &ModelDescription;

    /// Opens an empty slot.
    fn open_slot(&mut self) -> SlotId;

    /// The greatest length, at most `n_tokens`, to which the slot can return. It holds at least `n_tokens`. If that is
    /// all it holds, the answer is `n_tokens`; with a checkpoint there too.
    fn resume_point(&self, slot: SlotId, n_tokens: usize) -> usize;

    /// Returns a slot to its [resume point](Self::resume_point) for `n_tokens`, and says how many tokens it then holds.
    /// Checkpoints beyond that are lost; those up to it are kept.
    fn rewind_slot(&mut self, slot: SlotId, n_tokens: usize) -> usize;

    /// Frees the memory of the checkpoint at this length, which the slot has.
    fn drop_checkpoint(&mut self, slot: SlotId, n_tokens: usize);

    /// The number of tokens that a slot has memory for, including those it holds.
    fn slot_room(&self, slot: SlotId) -> usize;

    /// Frees the memory that a slot does not need. This may require a copy of what it holds.
    fn fit_slot(&mut self, slot: SlotId);

    /// Closes a slot and frees its memory.
    fn close_slot(&mut self, slot: SlotId);

    /// Opens a slot with a copy of the beginning of another, up to the other's [resume point](Self::resume_point) for
    /// `n_tokens`. The copy has no checkpoints.
    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotCopy, StepError>;

    /// Appends to `slot` the keys and values that `from` holds at positions `tokens`, with the keys rotated to their
    /// new positions. They were computed after other tokens than those in `slot`, so they differ from what a step would
    /// compute. After an error, the contents of `slot` are undefined. Called only if the model
    /// [can do this](ModelDescription::can_shift).
    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        let _ = (slot, from, tokens);
        Err(StepError { message: "this model cannot move keys to other positions".to_owned() })
    }

    /// Removes the tokens at these positions from `slot`, with the keys of those behind rotated to their new positions.
    /// These were computed after what is removed, so they differ from what a step would compute. Meanwhile the slot takes
    /// at most a layer more memory. After an error, the contents of `slot` are undefined. Called only if the model
    /// [can do this](ModelDescription::can_shift).
    fn drop_tokens(&mut self, slot: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        let _ = (slot, tokens);
        Err(StepError { message: "this model cannot move keys to other positions".to_owned() })
    }

    /// Feeds each span to its slot and draws the requested tokens. Returns one entry per span, in order: empty if the
    /// span has no `sample`, else one token more than the number of accepted drafts. A draft is accepted if all drafts
    /// before it are and it equals the token drawn at its position; afterwards the slot holds the span up to the last
    /// accepted draft. So the model itself takes back rejected drafts: a state that cannot be cut is kept from before
    /// them. The result depends neither on how tokens were divided into spans and steps, nor on drafts or checkpoints.
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError>;

    /// Like [`Self::step`], if the next step will probably feed only each span's drawn token and draw in the same way.
    /// A model may start that step before it returns this step's tokens, so that the device need not wait until they
    /// are read. If another step follows instead, its result must be the same as without this.
    fn step_ahead(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        self.step(spans)
    }

    fn memory(&self) -> MemoryUse;
}

impl SlotCost {
    /// Whether slots return to checkpoints only.
    #[must_use]
    pub fn needs_checkpoints(&self) -> bool {
        self.checkpoint_bytes > 0
    }

    /// The number of tokens for which a slot has memory when it holds `n_tokens`.
    #[must_use]
    pub fn room_for(&self, n_tokens: usize) -> usize {
        n_tokens.checked_next_multiple_of(self.step_tokens.max(1)).unwrap_or(usize::MAX)
    }

    /// The size of a slot with memory for `n_room` tokens, and with this many checkpoints.
    #[must_use]
    pub fn bytes(&self, n_room: usize, n_checkpoints: usize) -> u64 {
        let tokens = self.bytes_per_token.saturating_mul(n_room as u64);
        let checkpoints = self.checkpoint_bytes.saturating_mul(n_checkpoints as u64);
        self.fixed_bytes.saturating_add(tokens).saturating_add(checkpoints)
    }
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
