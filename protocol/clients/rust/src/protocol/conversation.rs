//! What a conversation consists of.
//!
//! The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    /// The parts of a text, which are concatenated.
    Parts(Vec<TextPart>),
}

/// The function to call, and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionCall {
    pub name: String,
    /// The arguments: an object, or a string that contains one as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<ObjectOrText>,
}

/// A function, as described to the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionDefinition {
    pub name: String,
    /// What the function does, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the arguments, which are an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
}

/// One message of a conversation. A result's `message` can be sent back as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    /// The text, or a list of its parts. May be absent or null only if there are `tool_calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The model's reasoning before its answer, for models that reason. `reasoning_content` is read as this, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// How arguments may be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ObjectOrText {
    Object(Map<String, Value>),
    Text(String),
}

/// The author of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    #[serde(rename = "user")]
    User,
    #[serde(rename = "assistant")]
    Assistant,
    /// Instructions for the model. `developer` is read as this, too.
    #[serde(rename = "system")]
    System,
    /// The result of a tool call.
    #[serde(rename = "tool")]
    Tool,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextPart {
    pub r#type: TextPartType,
    pub text: String,
}

/// The type of a part; only `text` is supported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextPartType {
    /// The type of a part; only `text` is supported.
    #[serde(rename = "text")]
    Text,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// A tool that the model may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ToolType>,
    pub function: FunctionDefinition,
}

/// A tool call that the model makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The id of the call; the tool's message repeats it as `tool_call_id`.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ToolType>,
    pub function: FunctionCall,
    /// The place of the call among those of its message, which its place in the list says already. Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
}

/// The type of a tool; only `function` is supported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolType {
    /// The type of a tool; only `function` is supported.
    #[serde(rename = "function")]
    Function,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}
