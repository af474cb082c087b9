//! What `complete` and `chat` have in common: priority, finish reason, usage and timing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A person is waiting: goes before background requests, from the next token on; while both run, about one token in
    /// eight is still a background request's.
    Interactive,
    /// Uses the capacity that interactive requests leave.
    Background,
}

/// Whether speculative decoding may be used: tokens are drafted, then several are checked at a time. It does not
/// change the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speculation {
    /// Used where it is expected to be faster.
    #[default]
    Auto,
    Off,
}

/// Why the text ended. Clients must accept unknown reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// One of the `stop` strings was generated. It is not part of the text.
    Stop,
    /// The model ended the text.
    Eos,
    /// `max_tokens` or the end of the model's context was reached.
    Length,
    /// A completion rule ended the text; `rule` names it.
    Rule,
    /// `time_budget_ms` was used up.
    Budget,
    /// The client cancelled the request, or the connection ended. The result holds the text so far.
    Cancelled,
    /// A newer `complete` with the same `document` replaced this one. The result holds the text so far.
    Superseded,
    /// The text is withheld: its `confidence` is below `min_confidence`.
    LowConfidence,
    /// The model calls tools; the calls are in `message.tool_calls`.
    ToolCalls,
}

/// What a request used, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// The number of tokens of the prompt, after trimming.
    pub prompt_tokens: u64,
    /// The number of prompt tokens that were already in the cache and were not processed again.
    pub cached_tokens: u64,
    /// The number of generated tokens over all choices, including the token that ended the text.
    pub completion_tokens: u64,
    /// The number of drafted tokens; 0 without speculative decoding.
    pub drafted_tokens: u64,
    /// The number of drafted tokens that were accepted.
    pub accepted_tokens: u64,
    /// What `complete` left out to fit into the model's context, or to answer in time (`patience_ms`); absent if nothing
    /// was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<Trimmed>,
}

/// What was left out of a prompt that was too long, or would have taken too long. The text nearest to the cursor is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trimmed {
    /// The number of characters (Unicode scalar values) removed from the start of `prefix`.
    pub prefix_chars: u64,
    /// The number of characters (Unicode scalar values) removed from the end of `suffix`.
    pub suffix_chars: u64,
    /// The number of entries removed from the start of `context`.
    pub context_files: u64,
}

/// Where the time was spent. All times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// From reading the request until work on it began, including the wait for the model to load.
    pub queue_ms: f64,
    /// From the beginning of work until the prompt was processed.
    pub prefill_ms: f64,
    /// From reading the request until the first token; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// From the first token until the end.
    pub decode_ms: f64,
    /// From reading the request until the end.
    pub total_ms: f64,
    /// Uncached prompt tokens per second of `prefill_ms`; absent if there was nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens after the first per second of `decode_ms`; absent if there was nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
}

/// The probability of a generated token and of its alternatives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenLogprobs {
    /// The id of the token.
    pub token: u32,
    /// The token's text. An incomplete character is shown as U+FFFD.
    pub text: String,
    /// The natural logarithm of the token's probability, after logit bias and penalties, before temperature and truncation.
    pub logprob: f32,
    /// The most likely tokens, most likely first; as many as `logprobs` asks for.
    pub top: Vec<TopLogprob>,
}

/// One of the most likely tokens at a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopLogprob {
    pub token: u32,
    /// The token's text. An incomplete character is shown as U+FFFD.
    pub text: String,
    /// The natural logarithm of the token's probability, after logit bias and penalties, before temperature and truncation.
    pub logprob: f32,
}
