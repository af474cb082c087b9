//! The messages of a conversation: [`Message`], and what a prompt is rendered from: [`ChatRequest`].

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// One message. A template is given it in the shape that it was written for, whichever it has here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or whatever else the model's template knows.
    pub role: String,
    /// `None` for null or absent, as in an assistant message that only calls tools.
    #[serde(default)]
    pub content: Option<Content>,
    #[serde(rename = "reasoning_content", default)]
    pub reasoning: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub tool_calls: Vec<ToolCall>,
    /// Of a `tool` message: the call that it answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
}

/// What a message says. In JSON a string, or a list of `{"type": "text", "text": "..."}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "ContentOnWire")]
pub enum Content {
    Text(String),
    /// The texts of a list of parts; a template that knows no lists gets them as one text.
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

    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(Content::Text(content.into())), ..Self::default() }
    }
}

/// A call of a function that an assistant message made. In JSON it has the shape of the field's chat APIs,
/// `{"type": "function", "function": {"name", "arguments"}}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    pub id: Option<String>,
    pub name: String,
    /// An object, or a string that holds one as JSON.
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

/// Variables of a chat template by name, `enable_thinking` for one.
pub type TemplateVariables = Map<String, Value>;

/// What a prompt is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct ChatRequest<'a> {
    pub messages: &'a [Message],
    /// Descriptions of functions, in the shape of the field's chat APIs.
    pub tools: &'a [Value],
    /// Further variables of the template, `enable_thinking` for one.
    pub kwargs: &'a TemplateVariables,
    /// Whether the prompt ends with the beginning of an assistant message, as it must for a turn to be generated.
    pub add_generation_prompt: bool,
}
