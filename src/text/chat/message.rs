//! The messages of a conversation ([`Message`]), and everything a prompt is rendered from ([`ChatRequest`]).

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// One message of a conversation. Whichever form it has here, a template gets it in the form that it was written for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or another role that the model's template knows.
    pub role: String,
    /// `None` if it is null or absent, as in an assistant message that only calls tools.
    #[serde(default)]
    pub content: Option<Content>,
    /// The model's reasoning before its answer; `reasoning_content` in JSON.
    #[serde(rename = "reasoning_content", default)]
    pub reasoning: Option<String>,
    /// The calls that an assistant message makes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tool_calls: Vec<ToolCall>,
    /// In a `tool` message: the id of the call that it answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
}

/// The content of a message. In JSON, it is a string or a list of `{"type": "text", "text": "..."}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "ContentOnWire")]
pub enum Content {
    Text(String),
    /// The texts of a list of parts. A template that does not support lists gets them as one text.
    Parts(Vec<String>),
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContentOnWire {
    Text(String),
    Parts(Vec<TextPart>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename = "text")]
struct TextPart {
    text: String,
}

impl From<ContentOnWire> for Content {
    fn from(content: ContentOnWire) -> Self {
        match content {
            ContentOnWire::Text(text) => Self::Text(text),
            ContentOnWire::Parts(parts) => Self::Parts(parts.into_iter().map(|it| it.text).collect()),
        }
    }
}

impl Message {
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }

    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// A message with these two fields only.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(Content::Text(content.into())), ..Self::default() }
    }
}

/// A function call in an assistant message. In JSON, it has the form of common chat APIs:
/// `{"type": "function", "function": {"name", "arguments"}}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    pub id: Option<String>,
    pub name: String,
    /// A JSON object, or a string that contains one as JSON.
    pub arguments: Value,
}

#[derive(Deserialize)]
struct ToolCallOnWire {
    #[serde(default)]
    id: Option<String>,
    function: FunctionOnWire,
}

#[derive(Deserialize)]
struct FunctionOnWire {
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ToolCallOnWire { id, function } = ToolCallOnWire::deserialize(deserializer)?;
        Ok(Self { id, name: function.name, arguments: function.arguments })
    }
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Variables of a chat template by name, such as `enable_thinking`.
pub type TemplateVariables = Map<String, Value>;

/// Everything that a prompt is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct ChatRequest<'a> {
    pub messages: &'a [Message],
    /// Descriptions of the functions that the model may call, in the form of common chat APIs.
    pub tools: &'a [Value],
    /// Further variables of the template, such as `enable_thinking`.
    pub kwargs: &'a TemplateVariables,
    /// Whether the prompt ends with the beginning of an assistant message, which is required to generate a turn.
    pub add_generation_prompt: bool,
}
