//! The reasons why a request is refused or fails, as types that each front end puts into the words of its protocol.

use std::fmt;

use runabout_engine::JobError;
use runabout_text::TextError;

/// Why a request has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter is outside its limits. A `max` of `u64::MAX` means that there is no upper limit.
    #[error("{what} must be between {min} and {max}, got {got}")]
    OutOfRange { what: Limited, min: u64, max: u64, got: u64 },
    #[error("the prompt must not be empty")]
    EmptyPrompt,
    #[error("a conversation must have at least one message, got none")]
    NoMessages,
    /// The model was asked for the next edit, but neither predicts edits nor fills in the middle.
    #[error("the model cannot predict edits: it was not made for that, and cannot fill in the middle either")]
    NoNextEdit,
    /// The next edit was asked for in a format whose tokens the model does not have.
    #[error("the model does not have the tokens of the format `{format}`")]
    LacksTokens { format: &'static str },
    /// Only a message with tool calls may have no content.
    #[error("message {index} must have content if it has no tool calls")]
    EmptyMessage { index: usize },
    /// A call is demanded, and there is nothing to call.
    #[error("a call of a tool is required, but there are no tools")]
    NoTools,
    /// A call is demanded of a tool that is not among the tools.
    #[error("there is no tool named `{name}`")]
    UnknownTool { name: String },
    /// A text that has a format cannot also call tools.
    #[error("a text must not have a format where tools can be called")]
    FormatWithTools,
    /// The model's chat template has no place for tools, or its calls have an unknown form.
    #[error("the model's chat template {lack}, so it cannot call tools")]
    CannotCall { lack: &'static str },
    /// A token that is to end the text is not in the model's vocabulary.
    #[error("the model has no token `{name}` that could end a text")]
    UnknownEndToken { name: String },
    /// The waiting requests already hold too much text.
    #[error(
        "{n_requests} waiting requests leave room for {available_bytes} bytes, got a request of {needed_bytes} bytes"
    )]
    NoRoom { n_requests: u64, needed_bytes: u64, available_bytes: u64 },
    /// The engine refused the request or failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A sampling parameter is out of bounds, or the chat template cannot render the messages.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// A parameter that has limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// [`Completion::n_choices`](crate::Completion::n_choices).
    Choices,
    /// [`Generation::max_tokens`](crate::Generation::max_tokens).
    MaxTokens,
    /// [`Generation::top_logprobs`](crate::Generation::top_logprobs).
    TopLogprobs,
    /// [`Generation::time_budget`](crate::Generation::time_budget), in milliseconds.
    TimeBudget,
    /// The number of [`Generation::stop`](crate::Generation::stop) strings.
    StopStrings,
    /// The length in bytes of the stop string at this index.
    StopString(usize),
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choices => f.write_str("the number of choices"),
            Self::MaxTokens => f.write_str("the maximum number of tokens"),
            Self::TopLogprobs => f.write_str("the number of top log probabilities"),
            Self::TimeBudget => f.write_str("the time budget in milliseconds"),
            Self::StopStrings => f.write_str("the number of stop strings"),
            Self::StopString(index) => write!(f, "the length in bytes of stop string {index}"),
        }
    }
}
