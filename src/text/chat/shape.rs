//! The form in which a template expects arguments (object or JSON text), missing content (none or empty text) and content
//! of parts (list or text): [`Shape`].
//!
//! A template that gets another form than it was written for fails, writes a Python dictionary into the prompt, or leaves
//! the call out. The right form is found when the template is loaded, by rendering a short conversation in each.

use serde_json::{Map, Value, json};

use super::{ChatRequest, Content, Message, ToolCall, python};

/// How a template is given messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    arguments: Arguments,
    /// Whether the content of a message without any is an empty text, not none.
    empty_content: bool,
    /// Whether a content of parts goes in as a list.
    lists_parts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    Object,
    Text,
}

/// What transformers' documentation asks templates to take.
pub(super) const PLAIN: Shape =
    Shape { arguments: Arguments::Object, empty_content: false, lists_parts: true };

/// A text that no template contains.
const NEEDLE: &str = "Wolpertinger";

impl Shape {
    /// The shape that a template wants; `render` is the template.
    pub(super) fn find(render: &impl Fn(&ChatRequest<'_>, Shape) -> Option<String>) -> Self {
        let mut shape = PLAIN;
        let calls = [
            (Arguments::Object, false),
            (Arguments::Object, true),
            (Arguments::Text, false),
            (Arguments::Text, true),
        ]
        .map(|(arguments, empty_content)| Shape { arguments, empty_content, ..PLAIN });
        let call = ToolCall {
            // Some families have ids of nine letters and digits and refuse others.
            id: Some("a1b2c3d4e".to_owned()),
            name: "find".to_owned(),
            arguments: json!({NEEDLE: NEEDLE}),
        };
        let answer = Message {
            tool_call_id: call.id.clone(),
            name: Some(call.name.clone()),
            ..Message::new("tool", "1")
        };
        let turns = &[
            Message::user("Hello"),
            Message { role: "assistant".to_owned(), tool_calls: vec![call], ..Message::default() },
            answer,
        ];
        let tools = [json!({"type": "function", "function": {
            "name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}},
        }})];
        let rendered = |candidate: Shape| {
            [&tools[..], &[]].into_iter().filter_map(move |tools| render(&request(turns, tools), candidate))
        };
        let is_written = |text: String| {
            // Twice as text of its own, and neither as Python writes a dictionary nor as JSON within JSON.
            text.matches(NEEDLE).count() >= 2
                && !text.contains(&format!("'{NEEDLE}'"))
                && !text.contains(&format!("\\\"{NEEDLE}"))
        };
        let found = calls.into_iter().find(|it| rendered(*it).any(is_written));
        // A template that knows no calls leaves them out, and has to take the message all the same.
        if let Some(found) = found.or_else(|| calls.into_iter().find(|it| rendered(*it).next().is_some())) {
            shape = found;
        }
        let parts = Content::Parts(vec![NEEDLE.to_owned()]);
        let turns = [Message { role: "user".to_owned(), content: Some(parts), ..Message::default() }];
        let listed = render(&request(&turns, &[]), shape);
        shape.lists_parts = listed.is_some_and(|it| {
            it.contains(NEEDLE)
                && !it.contains(&format!("'{NEEDLE}'"))
                && !it.contains(&format!("\"{NEEDLE}\""))
        });
        shape
    }

    /// A message as the template is given it.
    pub(super) fn message(self, message: &Message) -> Value {
        let Message { role, content, reasoning, tool_calls, tool_call_id, name } = message;
        let mut fields = Map::new();
        fields.insert("role".to_owned(), json!(role));
        fields.insert("content".to_owned(), self.content(content.as_ref()));
        if let Some(reasoning) = reasoning {
            fields.insert("reasoning_content".to_owned(), json!(reasoning));
        }
        if !tool_calls.is_empty() {
            fields.insert("tool_calls".to_owned(), tool_calls.iter().map(|it| self.call(it)).collect());
        }
        if let Some(id) = tool_call_id {
            fields.insert("tool_call_id".to_owned(), json!(id));
        }
        if let Some(name) = name {
            fields.insert("name".to_owned(), json!(name));
        }
        // gpt-oss reads this name.
        if let Some(reasoning) = reasoning {
            fields.insert("thinking".to_owned(), json!(reasoning));
        }
        Value::Object(fields)
    }

    fn content(self, content: Option<&Content>) -> Value {
        match content {
            None if self.empty_content => json!(""),
            None => Value::Null,
            Some(Content::Text(text)) => json!(text),
            Some(Content::Parts(parts)) if self.lists_parts => {
                parts.iter().map(|text| json!({"type": "text", "text": text})).collect()
            }
            // As mlx_lm joins them.
            Some(Content::Parts(parts)) => json!(parts.concat()),
        }
    }

    fn call(self, ToolCall { id, name, arguments }: &ToolCall) -> Value {
        let arguments = match (self.arguments, arguments.as_str()) {
            (Arguments::Object, Some(text)) => {
                let read = serde_json::from_str(text).ok().filter(Value::is_object);
                read.unwrap_or_else(|| arguments.clone())
            }
            (Arguments::Text, None) => json!(python::dumps(arguments)),
            (Arguments::Object, None) | (Arguments::Text, Some(_)) => arguments.clone(),
        };
        let mut call = Map::new();
        if let Some(id) = id {
            call.insert("id".to_owned(), json!(id));
        }
        call.insert("type".to_owned(), json!("function"));
        call.insert("function".to_owned(), json!({"name": name, "arguments": arguments}));
        Value::Object(call)
    }
}

fn request<'a>(messages: &'a [Message], tools: &'a [Value]) -> ChatRequest<'a> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    ChatRequest { messages, tools, kwargs: &NONE, add_generation_prompt: true }
}
