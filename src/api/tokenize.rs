//! `tokenize`: count tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::Message;
use crate::integers;
use crate::protocol::Method;
use crate::tools::Tool;

/// The method `tokenize`.
pub enum Tokenize {}

impl Method for Tokenize {
    const NAME: &'static str = "tokenize";
    const SUMMARY: &'static str = "Count the tokens of a text or a conversation";
    const ERRORS: &'static [&'static str] = &["model_load_failed", "unsupported", "shutting_down"];
    type Params = TokenizeParams;
    type Result = TokenizeResult;
}

/// Counts the tokens of a text or of a conversation. Exactly one of `text` and `messages` must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(default, deserialize_with = "integers::object", skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
    /// Whether the result includes the token ids. Default: false.
    #[serde(default)]
    pub return_tokens: bool,
}

/// The number of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeResult {
    pub count: u64,
    /// The token ids; present if `return_tokens` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
}
