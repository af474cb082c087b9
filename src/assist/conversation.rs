//! A conversation: from its messages to the assistant's next turn.

use runabout_engine::TextStart;
use runabout_text::{ChatRequest, Constraint, Content, Message, TemplateVariables, Trimmed};

use crate::error::Error;
use crate::generation::{Generation, Limits};
use crate::model::Model;
use crate::prompt::{Prompt, check_size};

/// A request for the assistant's next turn.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// At least one. Only a message with tool calls may have no content.
    pub messages: Vec<Message>,
    /// Additional variables for the model's chat template.
    pub template_variables: TemplateVariables,
    pub generation: Generation,
}

impl Conversation {
    /// Checks the request against the limits.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        if self.messages.is_empty() {
            return Err(Error::NoMessages);
        }
        check_messages(&self.messages)?;
        self.generation.check(limits)
    }

    /// The approximate size of the request in memory.
    pub(crate) fn n_bytes(&self) -> usize {
        request(&self.messages, &self.template_variables).n_bytes() + self.generation.n_bytes()
    }

    /// Renders and encodes the prompt. Blocks meanwhile.
    pub(crate) fn prompt(&self, model: &Model) -> Result<Prompt, Error> {
        let Model { facts, description } = model;
        let tokenizer = &facts.tokenizer;
        let params = self.generation.sampling.over(facts.defaults.for_conversation());
        params.validate(description.vocabulary_size)?;
        let request = request(&self.messages, &self.template_variables);
        let max_tokens = self.generation.max_tokens;
        let n_least = self.messages.iter().flat_map(|it| &it.content).map(|it| match it {
            Content::Text(text) => tokenizer.least_tokens(text),
            Content::Parts(parts) => tokenizer.least_tokens(&parts.concat()),
        });
        if check_size(n_least.sum(), max_tokens, description).is_err() {
            // A template may omit some of the messages.
            check_size(tokenizer.least_tokens(&tokenizer.render_chat(&request)?), max_tokens, description)?;
        }
        let tokens = tokenizer.encode_chat(&request)?;
        let constraint = match &self.generation.format {
            Some(format) => Some(Constraint::new(tokenizer, format, "")?.after_reasoning(tokenizer, &tokens)),
            None => None,
        };
        Ok(Prompt {
            tokens,
            trimmed: Trimmed::default(),
            params,
            end_tokens: tokenizer.end_tokens().to_vec(),
            rules: None,
            healing: None,
            constraint,
            text_start: TextStart::Fresh,
            line_end: None,
            stop: &[],
            most_tokens: None,
        })
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

/// The messages as the chat template gets them, followed by the start of the assistant's turn.
pub(crate) fn request<'a>(messages: &'a [Message], variables: &'a TemplateVariables) -> ChatRequest<'a> {
    ChatRequest { messages, tools: &[], kwargs: variables, add_generation_prompt: true }
}
