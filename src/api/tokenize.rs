//! `tokenize`: count tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::{Message, Tool};
use crate::protocol::Method;

/// `tokenize`.
pub enum Tokenize {}

impl Method for Tokenize {
    const NAME: &'static str = "tokenize";
    const SUMMARY: &'static str = "Count tokens";
    const ERRORS: &'static [&'static str] = &["model_load_failed", "unsupported", "shutting_down"];
    type Params = TokenizeParams;
    type Result = TokenizeResult;
}

/// Counts the tokens of a text or of a conversation: exactly one of `text` and `messages` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeParams {
    /// Counted as it is, without any token that the model wants at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Counted as `chat` would render them, the start of the assistant's turn included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// With `messages`: the tools that `chat` would be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// With `messages`: further variables for the chat template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
    /// Whether the result tells the token ids.
    #[serde(default)]
    pub return_tokens: bool,
}

/// How many tokens it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeResult {
    pub count: u64,
    /// The token ids, with `return_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
}
