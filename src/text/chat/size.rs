//! How much text a conversation holds, for limits on memory.

use serde_json::Value;

use super::{ChatRequest, Content, Message};

impl ChatRequest<'_> {
    /// The bytes of all texts: messages, tools and variables.
    pub fn n_bytes(&self) -> usize {
        let messages: usize = self.messages.iter().map(of_message).sum();
        let tools: usize = self.tools.iter().map(of_value).sum();
        let kwargs: usize = self.kwargs.iter().map(|(name, value)| name.len() + of_value(value)).sum();
        messages + tools + kwargs
    }
}

fn of_message(message: &Message) -> usize {
    let of = |it: &Option<String>| it.as_ref().map_or(0, String::len);
    let content = match &message.content {
        None => 0,
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => parts.iter().map(String::len).sum(),
    };
    let calls: usize =
        message.tool_calls.iter().map(|it| of(&it.id) + it.name.len() + of_value(&it.arguments)).sum();
    message.role.len()
        + content
        + of(&message.reasoning)
        + calls
        + of(&message.tool_call_id)
        + of(&message.name)
}

/// About what the value takes as JSON. Values are as deep as the JSON reader allows, which is not deep.
fn of_value(value: &Value) -> usize {
    /// A number, a boolean or null, and what separates values.
    const SMALL: usize = 8;
    match value {
        Value::String(text) => text.len() + SMALL,
        Value::Array(values) => SMALL + values.iter().map(of_value).sum::<usize>(),
        Value::Object(members) => {
            SMALL + members.iter().map(|(name, it)| name.len() + of_value(it)).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => SMALL,
    }
}
