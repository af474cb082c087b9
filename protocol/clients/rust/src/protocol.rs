//! The types of the protocol. What a client sends may have further parameters in `extra`; what the worker sends may have
//! further members, which are ignored, and values of enumerations that are not known yet.

mod conversation;
mod params;
mod reports;
mod results;

pub use conversation::*;
pub use params::*;
pub use reports::*;
pub use results::*;

impl Message {
    /// A message of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self::of(Role::User, text)
    }

    /// Instructions for the model.
    pub fn system(text: impl Into<String>) -> Self {
        Self::of(Role::System, text)
    }

    /// An earlier answer of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::of(Role::Assistant, text)
    }

    fn of(role: Role, text: impl Into<String>) -> Self {
        let content = Some(Content::Text(text.into()));
        Self { role, content, reasoning: None, tool_calls: Vec::new(), tool_call_id: None, name: None }
    }

    /// The text, without what structure it has.
    pub fn text(&self) -> String {
        match &self.content {
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts.iter().map(|it| it.text.as_str()).collect(),
            None => String::new(),
        }
    }
}

impl CompleteParams {
    /// The text after `prefix`; all else is as by default.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }
}

impl ChatParams {
    /// A conversation; all else is as by default.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self { messages: messages.into(), ..Self::default() }
    }
}

impl NextEditParams {
    /// The cursor is between `prefix` and `suffix`; all else is as by default.
    pub fn new(prefix: impl Into<String>, suffix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), suffix: Some(suffix.into()), ..Self::default() }
    }
}

impl ToolChoice {
    /// The model answers, and is not told about tools.
    pub fn none() -> Self {
        Self::ToolChoiceMode(ToolChoiceMode::None)
    }

    /// The model calls at least one tool.
    pub fn required() -> Self {
        Self::ToolChoiceMode(ToolChoiceMode::Required)
    }

    /// The model calls this tool.
    pub fn named(name: impl Into<String>) -> Self {
        Self::NamedTool(NamedTool { r#type: ToolType::Function, function: FunctionName { name: name.into() } })
    }
}
