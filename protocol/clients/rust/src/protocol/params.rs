//! What a client sends.
//!
//! The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::conversation::{Message, Tool, ToolType};

/// Stops a running or waiting request, which is then answered at once. If `cancel` stopped it, the answer is a result
/// that holds the text so far; if `$/cancelRequest` did, it is error -32800 with the text so far in `data.partial`. A
/// stopped `tokenize`, which has no text so far, is answered with error -32800 in both cases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CancelParams {
    /// The request to stop.
    pub id: RequestId,
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Generates the assistant's next turn. The messages are rendered with the model's own chat template; their text is
/// never read as control tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatParams {
    /// The conversation so far, at least one message.
    pub messages: Vec<Message>,
    /// The tools that the model may call. If its chat template does not support tools, the request fails with an
    /// error of kind `unsupported`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether the model calls tools: `auto`, `none`, `required`, or a tool that it must call. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// The form that the answer must have. The prompt does not mention it, so messages should ask for it too. If the
    /// model reasons first, the form applies to what follows. Must not be given where tools can be called. Default:
    /// any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// Additional variables for the chat template, such as `{"enable_thinking": false}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// The maximum number of tokens to generate. Default: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The time limit in milliseconds, including waiting; when it is reached, the result is the text so far. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_budget_ms: Option<u64>,
    /// Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The request's priority. Default: `background`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculation: Option<Speculation>,
    /// Up to 16 strings that end the text when they are generated; they are not included in it. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Reports the log probability of each generated token, and of this number of the most likely tokens beside it; 0
    /// reports the generated token only. Default: no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// Whether the result includes the token ids of the answer. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_tokens: Option<bool>,
    /// The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat` the
    /// value in the model's generation config, else 0.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat` the
    /// value in the model's generation config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
    /// generation config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// The minimum number of tokens that `min_p` keeps. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tokens_to_keep: Option<u32>,
    /// The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of them.
    /// Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xtc_probability: Option<f32>,
    /// The probability above which `xtc_probability` excludes tokens. Default: 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xtc_threshold: Option<f32>,
    /// Values above 1 make tokens that already occurred less likely. Default: 1 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// The number of last tokens, including the prompt's, that the three penalties consider. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_context_size: Option<u32>,
    /// Subtracted once from the logit of each token that already occurred. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Values to add to the logits of tokens, by token id. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<BTreeMap<String, f32>>,
    /// The seed of random sampling: the same seed gives the same text for the same request, whatever else runs. Has
    /// no effect at temperature 0. Default: a new one for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The client's program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientInfo {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Completes the text at the cursor: fills in between `prefix` and `suffix`, or continues `prefix`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompleteParams {
    /// The text before the cursor. In mode `raw`, the prompt itself.
    pub prefix: String,
    /// The text after the cursor. A model with fill-in-the-middle generates what belongs between; one without it
    /// continues `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The path of the file, as the model should see it. The file is not opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The programming language, such as `rust`. Default: derived from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextFile>,
    /// A key for the document: a newer `complete` with the same key replaces the older one, which then ends with
    /// finish reason `superseded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Where the completion should end. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CompletionMode>,
    /// Which completion rules apply. Default: all; in mode `raw`, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RuleSwitches>,
    /// Whether the word before the cursor is generated again, so that a token may span the cursor. The repeated part
    /// is not included in the text. Has no effect in mode `raw`. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healing: Option<bool>,
    /// The maximum number of tokens to generate. Default: 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The time limit in milliseconds, including waiting; when it is reached, the result is the text so far. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_budget_ms: Option<u64>,
    /// How long computing the prompt may take, in milliseconds. If it would take longer, by the speed measured so
    /// far, the model sees only the text near the cursor (about 1.5 KB before it) and no `context`; `usage.trimmed`
    /// reports that. Has no effect on `warm` and in mode `raw`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_ms: Option<u64>,
    /// The form that the text must have. With it, no rule ends the text. Default: any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// The number of texts to generate. At temperature 0 they are all the same. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Withholds a text whose `confidence` is lower: its text is empty and its finish reason `low_confidence`. Until
    /// that is decided, at the latest when the first line or the text is complete, no `delta` is sent; generation
    /// stops as soon as it is certain. Default: 0 (nothing is withheld).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The request's priority. Default: `interactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculation: Option<Speculation>,
    /// Up to 16 strings that end the text when they are generated; they are not included in it. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Reports the log probability of each generated token, and of this number of the most likely tokens beside it; 0
    /// reports the generated token only. Default: no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// Whether the result includes the token ids of the text. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_tokens: Option<bool>,
    /// The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat` the
    /// value in the model's generation config, else 0.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat` the
    /// value in the model's generation config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
    /// generation config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// The minimum number of tokens that `min_p` keeps. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tokens_to_keep: Option<u32>,
    /// The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of them.
    /// Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xtc_probability: Option<f32>,
    /// The probability above which `xtc_probability` excludes tokens. Default: 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xtc_threshold: Option<f32>,
    /// Values above 1 make tokens that already occurred less likely. Default: 1 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// The number of last tokens, including the prompt's, that the three penalties consider. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_context_size: Option<u32>,
    /// Subtracted once from the logit of each token that already occurred. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Values to add to the logits of tokens, by token id. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<BTreeMap<String, f32>>,
    /// The seed of random sampling: the same seed gives the same text for the same request, whatever else runs. Has
    /// no effect at temperature 0. Default: a new one for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where a completion should end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletionMode {
    /// At the end of the line, the statement or the block, depending on the code around the cursor.
    #[serde(rename = "auto")]
    Auto,
    /// At the end of the line.
    #[serde(rename = "line")]
    Line,
    /// At the end of the block.
    #[serde(rename = "block")]
    Block,
    /// Where the model ends it: `prefix` is the prompt as it is, and no rules apply.
    #[serde(rename = "raw")]
    Raw,
}

/// A rule that may end a completion before the model does. Text that a rule cuts off is never sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletionRule {
    /// The line is complete.
    #[serde(rename = "line")]
    Line,
    /// The statement is complete: its line has ended, and every bracket that it opened is closed.
    #[serde(rename = "statement")]
    Statement,
    /// The block is complete: its closing line has ended, or an empty line precedes a line of the same level.
    #[serde(rename = "block")]
    Block,
    /// A line is less indented than the block that the cursor is in.
    #[serde(rename = "indentation")]
    Indentation,
    /// A bracket closes what `suffix` already closes, or what was never opened.
    #[serde(rename = "bracket")]
    Bracket,
    /// The text begins to repeat `suffix`, literally or nearly.
    #[serde(rename = "suffix")]
    Suffix,
    /// The text repeats itself or the lines before it.
    #[serde(rename = "repetition")]
    Repetition,
    /// The text is nothing but white space.
    #[serde(rename = "blank")]
    Blank,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// Another file that helps to complete this one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContextFile {
    /// The path of the file, as the model should see it. The file is not opened.
    pub path: String,
    pub text: String,
}

/// A function among the tools.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionName {
    pub name: String,
}

/// Introduces the client. Optional, and answered at once, even while the model loads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InitializeParams {
    /// The client, for the worker's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
    /// The protocol version that the client prefers. The result has the version that is used; a client that does not
    /// support it should end the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<u32>,
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool that the model must call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedTool {
    pub r#type: ToolType,
    pub function: FunctionName,
}

/// How a model is asked for the next edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextEditFormat {
    /// Decided by the model's name and its vocabulary.
    #[serde(rename = "auto")]
    Auto,
    /// As Sweep's next-edit models of the first version.
    #[serde(rename = "sweep")]
    Sweep,
    /// As the second version of Sweep's models.
    #[serde(rename = "sweep-v2")]
    SweepV2,
    /// As Zed's Zeta 2.
    #[serde(rename = "zeta-2")]
    Zeta2,
    /// As Zed's Zeta 2.1.
    #[serde(rename = "zeta-2.1")]
    Zeta21,
    /// By filling in the middle.
    #[serde(rename = "fill_in_the_middle")]
    FillInTheMiddle,
}

/// Predicts what will be changed next near the cursor, from what was changed before. A model made for that rewrites
/// the lines around the cursor; one that fills in the middle inserts text at the place of the latest edit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NextEditParams {
    /// The document before the cursor. If it is not all of it, it begins at the beginning of a line.
    pub prefix: String,
    /// The document after the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The path of the file, as the model should see it. The file is not opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The programming language, such as `rust`. Default: derived from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextFile>,
    /// What was changed recently, the latest change last. Those that do not fit are left out, the oldest ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<RecentEdit>,
    /// How the model is asked. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<NextEditFormat>,
    /// The maximum number of tokens to generate. An answer that is cut off before it has come back to unchanged lines
    /// is of no use. Default: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The time limit in milliseconds, including waiting. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_budget_ms: Option<u64>,
    /// Withholds edits whose `confidence` is lower: `edits` is empty then and the finish reason `low_confidence`.
    /// Default: 0 (nothing is withheld).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// The request's priority. Default: `interactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculation: Option<Speculation>,
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// This method takes no parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoParams {
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Which requests go first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Priority {
    /// A person is waiting: goes before background requests, from the next token on; while both run, about one token
    /// in eight is still a background request's.
    #[serde(rename = "interactive")]
    Interactive,
    /// Uses the capacity that interactive requests leave.
    #[serde(rename = "background")]
    Background,
}

/// A change that a person has made: some whole lines of a file took the place of others. The end of the last line may
/// be missing, and an empty text is no line at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecentEdit {
    /// The path of the file that was changed. Default: the document itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The lines before the change.
    pub original: String,
    /// The lines after the change.
    pub updated: String,
    /// The line of the document at which `updated` begins now, counted from 0 at the beginning of `prefix`. Only for
    /// changes of the document itself. Default: the line nearest to the cursor where `updated` stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// The `id` of a request, exactly as the request wrote it.
pub type RequestId = Value;

/// The form that a text must have. Tokens that would violate it are never generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ResponseFormat {
    /// Any text; the same as no format.
    #[serde(rename = "text")]
    Text,
    /// JSON that is valid by the schema, on one line, with its properties in the schema's order. OpenAI's form, with
    /// the schema in `json_schema`, and its type `json_object` are read too.
    #[serde(rename = "json_schema")]
    JsonSchema {
        /// The JSON Schema.
        schema: Value,
    },
    /// Text that the pattern matches as a whole.
    #[serde(rename = "regex")]
    Regex {
        /// The pattern, in the syntax of Rust's `regex` crate, without look-around and `\b`.
        pattern: String,
    },
    /// Text that the grammar generates from its rule `start`.
    #[serde(rename = "lark")]
    Lark {
        /// The grammar, in llguidance's form of Lark.
        grammar: String,
    },
}

/// Which completion rules apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleSwitches {
    /// The rules that do not apply. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<CompletionRule>,
}

/// Whether speculative decoding may be used: tokens are drafted, then several are checked at a time. It does not
/// change the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speculation {
    #[serde(rename = "off")]
    Off,
    /// Used where it is expected to be faster.
    #[serde(rename = "auto")]
    Auto,
}

/// Counts the tokens of a text or of a conversation. Exactly one of `text` and `messages` must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenizeParams {
    /// The text to count, without the token that the model expects at the start of a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The conversation to count, rendered as for `chat`, including the start of the assistant's turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// With `messages`: the tools to render, as for `chat`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// With `messages`: additional variables for the chat template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Whether the result includes the token ids. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_tokens: Option<bool>,
    /// Parameters that were not known when this library was written.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whether the model calls tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToolChoice {
    ToolChoiceMode(ToolChoiceMode),
    /// The model calls this tool, once.
    NamedTool(NamedTool),
}

/// Whether the model calls tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolChoiceMode {
    /// If it wants to.
    #[serde(rename = "auto")]
    Auto,
    /// Not at all: the prompt does not mention any.
    #[serde(rename = "none")]
    None,
    /// At least one.
    #[serde(rename = "required")]
    Required,
}

/// The params of a later `complete` or `chat` that should start fast; those of `chat` if `messages` is present. Only
/// the prompt is processed: parameters that concern the answer have no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WarmParams {
    Complete(CompleteParams),
    Chat(ChatParams),
}
