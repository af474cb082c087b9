//! A conversation: from its messages to the assistant's next turn.

use std::hash::{DefaultHasher, Hash, Hasher};

use runabout_engine::TextStart;
use runabout_text::{
    ChatPrompt, ChatRequest, Constraint, Content, Message, TemplateVariables, Tokenizer, ToolChoice, Tools,
    Trimmed, TurnReader,
};
use serde_json::Value;

use crate::error::Error;
use crate::generation::{Generation, Limits};
use crate::model::Model;
use crate::prompt::{Prompt, check_size};

/// A request for the assistant's next turn.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// At least one. Only a message with tool calls may have no content.
    pub messages: Vec<Message>,
    pub tools: ToolUse,
    /// Additional variables for the model's chat template.
    pub template_variables: TemplateVariables,
    pub generation: Generation,
}

/// The tools of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolUse {
    /// In the form of common chat APIs: `{"type": "function", "function": {"name", "description", "parameters"}}`.
    pub tools: Vec<Value>,
    pub choice: ToolChoice,
}

impl ToolUse {
    /// What the model is told about.
    fn offered(&self) -> &[Value] {
        if self.choice == ToolChoice::None { &[] } else { &self.tools }
    }

    fn check(&self, has_format: bool) -> Result<(), Error> {
        match &self.choice {
            ToolChoice::Required | ToolChoice::Named(_) if self.tools.is_empty() => Err(Error::NoTools),
            ToolChoice::Named(name) if !Tools::new(&self.tools).has(name) => {
                Err(Error::UnknownTool { name: name.clone() })
            }
            _ if has_format && !self.offered().is_empty() => Err(Error::FormatWithTools),
            _ => Ok(()),
        }
    }
}

impl Conversation {
    /// Checks the request against the limits.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        if self.messages.is_empty() {
            return Err(Error::NoMessages);
        }
        check_messages(&self.messages)?;
        self.tools.check(self.generation.format.is_some())?;
        self.generation.check(limits)
    }

    /// The approximate size of the request in memory.
    pub(crate) fn n_bytes(&self) -> usize {
        self.request().n_bytes() + self.generation.n_bytes()
    }

    /// Renders and encodes the prompt. Blocks meanwhile.
    pub(crate) fn prompt(&self, model: &Model) -> Result<Prompt, Error> {
        let Model { facts, description } = model;
        let tokenizer = &facts.tokenizer;
        let params = self.generation.sampling.over(facts.defaults.for_conversation());
        params.validate(description.vocabulary_size)?;
        let turn_format = tokenizer.turn_format();
        let request = self.request();
        check_tools(request.tools, tokenizer)?;
        let n_least = self.messages.iter().flat_map(|it| &it.content).map(|it| match it {
            Content::Text(text) => tokenizer.least_tokens(text),
            Content::Parts(parts) => tokenizer.least_tokens(&parts.concat()),
        });
        if check_size(n_least.sum(), &self.generation, description).is_err() {
            // A template may omit some of the messages.
            let n_least = tokenizer.least_tokens(&tokenizer.render_chat(&request)?);
            check_size(n_least, &self.generation, description)?;
        }
        let ChatPrompt { tokens, is_reasoning } = tokenizer.chat_prompt(&request)?;
        let tools = Tools::new(request.tools);
        let constraint = match &self.generation.format {
            Some(format) => Some(Constraint::of_turn(tokenizer, format, &tokens)?),
            None => Constraint::of_calls(tokenizer, &tools, &self.tools.choice)?
                .map(|it| it.after_reasoning(tokenizer, &tokens)),
        };
        let mut seed = DefaultHasher::new();
        tokens.hash(&mut seed);
        let turn = TurnReader::new(turn_format, tools, is_reasoning, seed.finish());
        Ok(Prompt {
            tokens,
            near: None,
            trimmed: Trimmed::default(),
            params,
            end_tokens: self.generation.all_end_tokens(tokenizer)?,
            rules: None,
            healing: None,
            constraint,
            text_start: TextStart::Fresh,
            line_end: None,
            stop: &[],
            most_tokens: None,
            turn: Some(turn),
        })
    }

    fn request(&self) -> ChatRequest<'_> {
        request(&self.messages, self.tools.offered(), &self.template_variables)
    }
}

/// Refuses a message that has neither content nor tool calls.
pub(crate) fn check_messages(messages: &[Message]) -> Result<(), Error> {
    let is_empty = |it: &Message| it.content.is_none() && it.tool_calls.is_empty();
    match messages.iter().position(is_empty) {
        Some(index) => Err(Error::EmptyMessage { index }),
        None => Ok(()),
    }
}

/// Refuses tools that the model cannot be told about, or whose calls could not be read.
pub(crate) fn check_tools(tools: &[Value], tokenizer: &Tokenizer) -> Result<(), Error> {
    if tools.is_empty() || !tokenizer.has_chat_template() {
        return Ok(());
    }
    if !tokenizer.has_tools() {
        return Err(Error::CannotCall { lack: "has no place for tools" });
    }
    if !tokenizer.turn_format().has_calls() {
        return Err(Error::CannotCall { lack: "has calls in a form that is not known here" });
    }
    Ok(())
}

/// The messages as the chat template gets them, followed by the start of the assistant's turn.
pub(crate) fn request<'a>(
    messages: &'a [Message],
    tools: &'a [Value],
    variables: &'a TemplateVariables,
) -> ChatRequest<'a> {
    ChatRequest { messages, tools, kwargs: variables, add_generation_prompt: true }
}
