//! What the engine asks of a language model.
//!
//! A model owns numbered *slots*: the KV caches of token sequences. The engine keeps each slot's ledger
//! (which tokens it holds) and feeds *spans*, runs of new tokens at the end of a slot. One call of
//! [`LanguageModel::step`] takes a ragged batch of spans, so that linear layers read their weights once for
//! all of them. A model knows nothing of jobs, priorities or text.

use runabout_text::{SamplingParams, TokenId};

/// Names a KV cache inside a model. Never reused while the slot is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// New tokens for the end of one slot. At most one span per slot in a step; never empty.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub slot: SlotId,
    pub tokens: &'a [TokenId],
    /// Whether, and how, the token after the last one fed is drawn. `None` for a prefill chunk that is not the last.
    pub sample: Option<SampleRequest<'a>>,
}

/// How the token after a span is drawn.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest<'a> {
    pub params: &'a SamplingParams,
    /// The prompt and all that was generated, this span's tokens included. Penalties look at its end.
    pub history: &'a [TokenId],
    /// How many tokens the sequence has generated so far. With the seed it names the random draw, so a seeded
    /// text does not depend on what else runs.
    pub n_generated: u64,
    /// The seed of this sequence: `params.seed`, or one the engine drew.
    pub seed: u64,
    /// How many of the most likely tokens to report; `None`: no log probabilities at all.
    pub top_logprobs: Option<usize>,
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
    /// Bytes of the weights as loaded.
    pub weights_bytes: u64,
    /// Bytes that one token takes in a slot.
    pub kv_bytes_per_token: u64,
    /// Bits per weight of the most common quantization; `None` for plain weights.
    pub quantization_bits: Option<u32>,
    /// Where it runs, for people: `cpu`, `gpu`.
    pub device: String,
}

/// Memory in bytes, as the device's allocator counts it.
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

    /// Frees a slot. Its id is not used again.
    fn close_slot(&mut self, slot: SlotId);

    /// Feeds each span to its slot and draws the tokens asked for: one entry per span, in order, `Some` exactly
    /// where the span had a `sample`. The result does not depend on how tokens were cut into spans or steps.
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Option<Sampled>>, StepError>;

    fn memory(&self) -> MemoryUse;
}
