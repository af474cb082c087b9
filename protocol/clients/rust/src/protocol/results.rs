//! The results of what a client sends.
//!
//! The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit.

use serde::{Deserialize, Serialize};

use super::conversation::Message;
use super::params::CompletionRule;

/// What happened to a request that was to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelOutcome {
    /// It was running or waiting, and has been stopped.
    #[serde(rename = "cancelled")]
    Cancelled,
    /// It had already been answered, or ended by itself before it could be stopped.
    #[serde(rename = "finished")]
    Finished,
    /// There is no such request, it was answered too long ago, or it is itself a `cancel`, which cannot be stopped.
    #[serde(rename = "unknown")]
    Unknown,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// What happened to the request. Its own response is sent before this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelResult {
    pub outcome: CancelOutcome,
    /// The number of tokens that the request had generated; 0 if the request is unknown.
    pub completion_tokens: u64,
}

/// The assistant's turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatResult {
    /// The answer. Its `content` is all `delta`s concatenated, except for those marked `reasoning`, which make up its
    /// `reasoning`.
    pub message: Message,
    pub finish_reason: FinishReason,
    /// What looks like a call of a tool but cannot be called: it is malformed, cut off, or names no tool of `tools`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_call_errors: Vec<ToolCallError>,
    /// Present if `response_format` is given and the text was ended before it had that form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    pub usage: Usage,
    pub timing: Timing,
    /// The token ids of the answer, without the end token; present if `return_tokens` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry for each generated token; present if `logprobs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}

/// One of several texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The index of the choice, as in `choice` of its `delta`s. Indices of repeated texts are left out.
    pub index: u32,
    /// The text: the `delta`s with this index, concatenated.
    pub text: String,
    pub finish_reason: FinishReason,
    /// The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CompletionRule>,
    /// The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often
    /// that line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it
    /// was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Present if `response_format` is given and the text was ended before it had that form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    /// The generated token ids; present if `return_tokens` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry for each generated token; present if `logprobs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}

/// The completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompleteResult {
    /// The text of the first choice: its `delta`s, concatenated.
    pub text: String,
    pub finish_reason: FinishReason,
    /// The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CompletionRule>,
    /// The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often
    /// that line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it
    /// was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Present if `response_format` is given and the text was ended before it had that form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    /// All distinct texts, including the first one; present if `n` is greater than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Choice>>,
    pub usage: Usage,
    pub timing: Timing,
    /// The generated token ids, without the end token; present if `return_tokens` is set. Besides those of `text`,
    /// they include what healing generated again before it and what rules cut off after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry for each generated token; present if `logprobs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}

/// Where edits come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EditSource {
    /// From a model that predicts edits, asked in the format of Sweep's models.
    #[serde(rename = "sweep")]
    Sweep,
    /// In the format of their second version.
    #[serde(rename = "sweep-v2")]
    SweepV2,
    /// In the format of Zeta 2.
    #[serde(rename = "zeta-2")]
    Zeta2,
    /// In the format of Zeta 2.1.
    #[serde(rename = "zeta-2.1")]
    Zeta21,
    /// From a model that fills in the middle: one insertion, at the place of the latest edit.
    #[serde(rename = "fill_in_the_middle")]
    FillInTheMiddle,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// Why the text ended. Clients must accept unknown reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinishReason {
    /// One of the `stop` strings was generated. It is not part of the text.
    #[serde(rename = "stop")]
    Stop,
    /// The model ended the text.
    #[serde(rename = "eos")]
    Eos,
    /// `max_tokens` or the end of the model's context was reached.
    #[serde(rename = "length")]
    Length,
    /// A completion rule ended the text; `rule` names it.
    #[serde(rename = "rule")]
    Rule,
    /// `time_budget_ms` was used up.
    #[serde(rename = "budget")]
    Budget,
    /// The client cancelled the request, or the connection ended. The result holds the text so far.
    #[serde(rename = "cancelled")]
    Cancelled,
    /// A newer `complete` with the same `document` replaced this one. The result holds the text so far.
    #[serde(rename = "superseded")]
    Superseded,
    /// The text is withheld: its `confidence` is below `min_confidence`.
    #[serde(rename = "low_confidence")]
    LowConfidence,
    /// The model calls tools; the calls are in `message.tool_calls`.
    #[serde(rename = "tool_calls")]
    ToolCalls,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// Where a text was ended before it had the form of `response_format`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incomplete {
    /// The JSON Pointer of the innermost value that was begun and not ended; present for `json_schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What is open there, from the outside in: `{`, `[`, and `"` for a string or a name; present for `json_schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
}

/// What will probably be changed next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextEditResult {
    /// The edits, in ascending order and without overlap; empty if nothing is to be changed. All of them refer to the
    /// document as it was sent.
    pub edits: Vec<TextEdit>,
    /// Where the first edit begins, in characters as `start`: the place to jump to. Absent without edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump_to: Option<u64>,
    /// Where the edits come from; absent if the request ended before the model was asked. Clients must accept unknown
    /// sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<EditSource>,
    /// The probability that the model itself gives to the first line that it changes, from where it changes it, from
    /// 0 to 1. Absent if it changes nothing, or removes the last lines that it was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    pub finish_reason: FinishReason,
    pub usage: Usage,
    pub timing: Timing,
}

/// A piece of the document that is replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextEdit {
    /// Where it begins: the number of characters (Unicode scalar values) before it in `prefix` and `suffix` together.
    pub start: u64,
    /// Where it ends, in the same way; equal to `start` for an insertion.
    pub end: u64,
    /// The text that takes its place, with the line ends of the document; empty for a removal.
    pub text: String,
}

/// Where the time was spent. All times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// The id of the token.
    pub token: u32,
    /// The token's text. An incomplete character is shown as U+FFFD.
    pub text: String,
    /// The natural logarithm of the token's probability, after logit bias and penalties, before temperature and
    /// truncation.
    pub logprob: f32,
    /// The most likely tokens, most likely first; as many as `logprobs` asks for.
    pub top: Vec<TopLogprob>,
}

/// The number of tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenizeResult {
    pub count: u64,
    /// The token ids; present if `return_tokens` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
}

/// What the model wrote as a call of a tool, but cannot be called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCallError {
    /// Why it cannot be called, for people.
    pub message: String,
    /// What the model wrote. It is part of the message's `content`, too.
    pub text: String,
}

/// One of the most likely tokens at a position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    pub token: u32,
    /// The token's text. An incomplete character is shown as U+FFFD.
    pub text: String,
    /// The natural logarithm of the token's probability, after logit bias and penalties, before temperature and
    /// truncation.
    pub logprob: f32,
}

/// What was left out of a prompt that was too long, or would have taken too long. The text nearest to the cursor is
/// kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trimmed {
    /// The number of characters (Unicode scalar values) removed from the start of `prefix`.
    pub prefix_chars: u64,
    /// The number of characters (Unicode scalar values) removed from the end of `suffix`.
    pub suffix_chars: u64,
    /// The number of entries removed from the start of `context`.
    pub context_files: u64,
}

/// What a request used, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What `complete` left out to fit into the model's context, or to answer in time (`patience_ms`); absent if
    /// nothing was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<Trimmed>,
}

/// The prompt is now in the cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WarmResult {
    /// The number of tokens of the prompt.
    pub prompt_tokens: u64,
    /// The number of those tokens that were already in the cache.
    pub cached_tokens: u64,
}
