//! `chat`: the assistant's next turn in a conversation.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::WORK_ERRORS;
use crate::format::{Incomplete, ResponseFormat};
use crate::integers;
use crate::outcome::{FinishReason, Priority, Speculation, Timing, TokenLogprobs, Usage};
use crate::protocol::Method;
use crate::sampling::params_with_sampling;
use crate::tools::{Tool, ToolCall, ToolCallError, ToolChoice};

/// The method `chat`.
pub enum Chat {}

impl Method for Chat {
    const NAME: &'static str = "chat";
    const SUMMARY: &'static str = "Generate the assistant's next turn";
    const ERRORS: &'static [&'static str] = WORK_ERRORS;
    type Params = ChatParams;
    type Result = ChatResult;
}

params_with_sampling! {
    /// Generates the assistant's next turn. The messages are rendered with the model's own chat template; their text is
    /// never read as control tokens.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct ChatParams {
        /// The conversation so far, at least one message.
        #[schemars(length(min = 1))]
        pub messages: Vec<Message>,
        /// The tools that the model may call. If its chat template does not support tools, the request fails with an
        /// error of kind `unsupported`. Default: none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub tools: Vec<Tool>,
        /// Whether the model calls tools: `auto`, `none`, `required`, or a tool that it must call. Default: `auto`.
        #[serde(default, skip_serializing_if = "ToolChoice::is_default")]
        pub tool_choice: ToolChoice,
        /// The form that the answer must have. The prompt does not mention it, so messages should ask for it too. If
        /// the model reasons first, the form applies to what follows. Must not be given where tools can be called.
        /// Default: any text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub response_format: Option<ResponseFormat>,
        /// Additional variables for the chat template, such as `{"enable_thinking": false}`.
        #[serde(default, deserialize_with = "integers::object", skip_serializing_if = "Map::is_empty")]
        pub chat_template_kwargs: Map<String, Value>,
        /// The maximum number of tokens to generate. Default: 1024.
        #[serde(default = "default_max_tokens")]
        #[schemars(range(min = 1))]
        pub max_tokens: u32,
        /// The time limit in milliseconds, including waiting; when it is reached, the result is the text so far.
        /// Default: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        pub time_budget_ms: Option<u64>,
        /// Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default:
        /// true.
        #[serde(default = "default_stream")]
        pub stream: bool,
        /// The request's priority. Default: `background`.
        #[serde(default = "default_priority")]
        pub priority: Priority,
        #[serde(default)]
        pub speculation: Speculation,
        /// Up to 16 strings that end the text when they are generated; they are not included in it. Default: none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub stop: Vec<String>,
        /// Reports the log probability of each generated token, and of this number of the most likely tokens beside it;
        /// 0 reports the generated token only. Default: no report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(max = 20))]
        pub logprobs: Option<u32>,
        /// Whether the result includes the token ids of the answer. Default: false.
        #[serde(default)]
        pub return_tokens: bool,
    }
}

impl ChatParams {
    /// Params with the defaults.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            tools: Vec::new(),
            tool_choice: ToolChoice::default(),
            response_format: None,
            chat_template_kwargs: Map::new(),
            max_tokens: default_max_tokens(),
            time_budget_ms: None,
            stream: default_stream(),
            priority: default_priority(),
            speculation: Speculation::default(),
            stop: Vec::new(),
            logprobs: None,
            return_tokens: false,
            temperature: None,
            top_p: None,
            top_k: None,
            min_p: None,
            min_tokens_to_keep: None,
            xtc_probability: None,
            xtc_threshold: None,
            repetition_penalty: None,
            repetition_context_size: None,
            presence_penalty: None,
            frequency_penalty: None,
            logit_bias: None,
            seed: None,
        }
    }
}

fn default_max_tokens() -> u32 {
    1024
}

fn default_stream() -> bool {
    true
}

fn default_priority() -> Priority {
    Priority::Background
}

/// One message of a conversation. A result's `message` can be sent back as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    pub role: Role,
    /// The text, or a list of its parts. May be absent or null only if there are `tool_calls`.
    #[serde(default)]
    pub content: Option<Content>,
    /// The model's reasoning before its answer, for models that reason. `reasoning_content` is read as this, too.
    #[serde(default, alias = "reasoning_content", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// In an assistant's message: the tool calls that it makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// In a tool's message: the id of the tool call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The name of the author or of the tool, for chat templates that write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message that holds only text.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(Content::Text(content.into())),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    /// The parts of a text, which are concatenated.
    Parts(Vec<TextPart>),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TextPart {
    #[serde(rename = "type")]
    pub kind: TextPartType,
    pub text: String,
}

/// The type of a part; only `text` is supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextPartType {
    #[default]
    Text,
}

impl<'de> Deserialize<'de> for Content {
    /// Written by hand, since derived code for untagged enums cannot tell what is wrong with a part.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(parts) => {
                let parts = parts.into_iter().enumerate().map(|(index, it)| part(index, it));
                Ok(Self::Parts(parts.collect::<Result<_, _>>().map_err(D::Error::custom)?))
            }
            _ => Err(D::Error::custom("must be a string or a list of parts")),
        }
    }
}

fn part(index: usize, part: Value) -> Result<TextPart, String> {
    let Value::Object(mut part) = part else { return Err(format!("part {index} must be an object")) };
    match part.remove("type") {
        Some(Value::String(kind)) if kind == "text" => {}
        Some(Value::String(kind)) => {
            let kind: String = kind.chars().take(40).collect();
            return Err(format!("part {index} must be of type `text`, got `{kind}`"));
        }
        _ => return Err(format!("part {index} must have a `type`")),
    }
    let Some(Value::String(text)) = part.remove("text") else {
        return Err(format!("part {index} must have a `text`, a string"));
    };
    // A hint for other programs' caches.
    part.remove("cache_control");
    if let Some((name, _)) = part.iter().find(|(_, it)| !it.is_null()) {
        let name: String = name.chars().take(40).collect();
        return Err(format!("part {index} has an unknown field `{name}`"));
    }
    Ok(TextPart { kind: TextPartType::Text, text })
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions for the model. `developer` is read as this, too.
    #[serde(alias = "developer")]
    System,
    User,
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// The assistant's turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
