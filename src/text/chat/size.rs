//! The memory that a conversation takes, for limits on it. It includes many small parts, and not only long texts.

use serde_json::Value;

use super::message::{ChatRequest, Content, Message, ToolCall};

impl ChatRequest<'_> {
    /// The approximate number of bytes that messages, tools and variables take in memory.
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
        Some(Content::Parts(parts)) => parts.iter().map(|it| size_of::<String>() + it.len()).sum(),
    };
    let of_call =
        |it: &ToolCall| size_of::<ToolCall>() + of(&it.id) + it.name.len() + of_value(&it.arguments);
    let calls: usize = message.tool_calls.iter().map(of_call).sum();
    let texts =
        message.role.len() + content + of(&message.reasoning) + of(&message.tool_call_id) + of(&message.name);
    size_of::<Message>() + texts + calls
}

/// Recurses as deep as the value is nested, which the JSON reader limits.
fn of_value(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(of_value).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, it)| size_of::<String>() + name.len() + of_value(it)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inside
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn what_is_empty_takes_memory_too() {
        let messages = vec![Message::user(""); 1000];
        let tools = [json!([null, null, {"a": 1}])];
        let kwargs = Map::new();
        let request =
            ChatRequest { messages: &messages, tools: &tools, kwargs: &kwargs, add_generation_prompt: true };
        let n_bytes = request.n_bytes();
        assert!(n_bytes >= 1000 * size_of::<Message>() + 5 * size_of::<Value>(), "{n_bytes}");
    }
}
