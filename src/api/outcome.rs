//! What results and work requests have in common: priority, why a text ended, what it cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which work goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits at the keyboard: goes before all background work, from the next token on.
    Interactive,
    /// Goes on with what interactive work leaves.
    Background,
}

/// Whether tokens may be drafted and checked several at a time. The text is the same either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speculation {
    /// Where it is expected to be faster.
    #[default]
    Auto,
    Off,
}

/// Why the text ended. Clients must be ready for a reason that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// One of the `stop` strings came up. It is not part of the text.
    Stop,
    /// The model ended the text.
    Eos,
    /// `max_tokens`, or the end of the model's context.
    Length,
    /// A rule for completions ended the text; `rule` names it.
    Rule,
    /// `time_budget_ms`.
    Budget,
    /// The client cancelled the request, or the connection ended. The text so far is the result.
    Cancelled,
    /// A newer `complete` with the same `document` took its place. The text so far is the result.
    Superseded,
    /// The model calls tools; they are in `message.tool_calls`.
    ToolCalls,
}

/// What a request cost, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt, as the model saw it.
    pub prompt_tokens: u64,
    /// Prompt tokens that were in the cache already and cost next to nothing.
    pub cached_tokens: u64,
    /// Tokens drawn, over all choices; the token that ended the text counts.
    pub completion_tokens: u64,
    /// Tokens that were drafted; 0 without speculation.
    pub drafted_tokens: u64,
    /// Drafted tokens that proved right.
    pub accepted_tokens: u64,
    /// What `complete` left out to fit the model's context; absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<Trimmed>,
}

/// What was left out of a prompt that was too long. What is nearest to the cursor is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trimmed {
    /// Characters (Unicode scalar values) taken off the start of `prefix`.
    pub prefix_chars: u64,
    /// Characters (Unicode scalar values) taken off the end of `suffix`.
    pub suffix_chars: u64,
    /// Entries of `context` left out, the first ones first.
    pub context_files: u64,
}

/// Where the time went. All times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// From when the request was read until work on it began; waiting for the model to load counts.
    pub queue_ms: f64,
    /// From then until the prompt was in the cache.
    pub prefill_ms: f64,
    /// From when the request was read until the first token; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// From the first token until the end.
    pub decode_ms: f64,
    /// From when the request was read until the end.
    pub total_ms: f64,
    /// Prompt tokens that were not in the cache, by `prefill_ms`; absent when there was nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens after the first, by `decode_ms`; absent when there was nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
}

/// How likely a token was, and what else might have come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenLogprobs {
    /// The token that was drawn.
    pub token: u32,
    /// Its text. A piece of a character shows as U+FFFD.
    pub text: String,
    /// Natural logarithm of its probability, before temperature and truncation.
    pub logprob: f32,
    /// The most likely tokens, most likely first, as many as were asked for.
    pub top: Vec<TopLogprob>,
}

/// One of the most likely tokens at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopLogprob {
    pub token: u32,
    /// Its text. A piece of a character shows as U+FFFD.
    pub text: String,
    /// Natural logarithm of its probability, before temperature and truncation.
    pub logprob: f32,
}
