//! Tools: the functions that a model may call, whether it does, and its calls.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::integers;

/// A tool call that the model makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// The id of the call; the tool's message repeats it as `tool_call_id`.
    pub id: String,
    #[serde(default, rename = "type")]
    pub kind: ToolType,
    pub function: FunctionCall,
    /// The place of the call among those of its message, which its place in the list says already. Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
}

/// The function to call, and its arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionCall {
    pub name: String,
    /// The arguments: an object, or a string that contains one as JSON.
    #[serde(default, deserialize_with = "object_or_text_of_one")]
    #[schemars(with = "ObjectOrText")]
    pub arguments: Map<String, Value>,
}

/// How arguments may be written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "for the schema alone")]
enum ObjectOrText {
    Object(Map<String, Value>),
    Text(String),
}

fn object_or_text_of_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let text = match raw.get().as_bytes() {
        [b'{', ..] => return integers::from_text(raw.get()).map_err(|it| integers::without_position(&it)),
        [b'n', ..] => return Ok(Map::new()),
        [b'"', ..] => {
            serde_json::from_str::<String>(raw.get()).map_err(|it| integers::without_position(&it))?
        }
        // A number, a boolean or a list: refused as a text of one is.
        _ => raw.get().to_owned(),
    };
    match text.trim() {
        "" => Some(Map::new()),
        // A long integer alone would be read as the object that stands for it.
        object if object.starts_with('{') => integers::from_text(object).ok(),
        _ => None,
    }
    .ok_or_else(|| D::Error::custom("must be an object, or a string that holds one"))
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    #[serde(default, rename = "type")]
    pub kind: ToolType,
    pub function: FunctionDefinition,
}

/// The type of a tool; only `function` is supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolType {
    #[default]
    Function,
}

/// A function, as described to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionDefinition {
    pub name: String,
    /// What the function does, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the arguments, which are an object.
    #[serde(default, deserialize_with = "integers::maybe_object", skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
}

/// Whether the model calls tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ToolChoice {
    Mode(ToolChoiceMode),
    /// The model calls this tool, once.
    Named(NamedTool),
}

/// Whether the model calls tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoiceMode {
    /// If it wants to.
    #[default]
    Auto,
    /// Not at all: the prompt does not mention any.
    None,
    /// At least one.
    Required,
}

/// A tool that the model must call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NamedTool {
    #[serde(rename = "type")]
    pub kind: ToolType,
    pub function: FunctionName,
}

/// A function among the tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FunctionName {
    pub name: String,
}

impl Default for ToolChoice {
    fn default() -> Self {
        Self::Mode(ToolChoiceMode::Auto)
    }
}

impl ToolChoice {
    /// The choice of one tool.
    pub fn named(name: impl Into<String>) -> Self {
        Self::Named(NamedTool { kind: ToolType::Function, function: FunctionName { name: name.into() } })
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    /// Written by hand, since derived code for untagged enums cannot tell what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "must be `auto`, `none`, `required`, or `{\"type\": \"function\", \"function\": {\"name\": \"...\"}}`";
        let value = Value::deserialize(deserializer)?;
        let name = value.get("function").and_then(|it| it.get("name")).and_then(Value::as_str);
        let is_function = value.get("type").is_none_or(|it| it == "function");
        match (value.as_str(), name) {
            (Some("auto"), _) => Ok(Self::Mode(ToolChoiceMode::Auto)),
            (Some("none"), _) => Ok(Self::Mode(ToolChoiceMode::None)),
            (Some("required"), _) => Ok(Self::Mode(ToolChoiceMode::Required)),
            (None, Some(name)) if is_function => Ok(Self::named(name)),
            _ => Err(D::Error::custom(EXPECTED)),
        }
    }
}

/// What the model wrote as a call of a tool, but cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCallError {
    /// Why it cannot be called, for people.
    pub message: String,
    /// What the model wrote. It is part of the message's `content`, too.
    pub text: String,
}
