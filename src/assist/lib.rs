//! What every front end offers, whatever protocol it speaks: complete code at a cursor, predict the next edit, answer a
//! conversation, compute a prompt ahead of time, count tokens.
//!
//! [`Assistant`] takes a [`Completion`], a [`NextEdit`] or a [`Conversation`] and returns a [`Run`], a stream of [`Update`]s whose last
//! one carries the [`Outcome`]. [`ModelHandle`] is the model behind it: loading, ready or failed.
//!
//! In the order of a request: `generation` has its limits, `documents` decides which completion of a document is the
//! newest, `held` limits the memory of waiting requests, `prompt` and `encoding` turn its text into tokens, and `run`
//! follows the engine's jobs to their end.
//!
//! This crate knows no JSON, no protocol and no stdio; front ends translate to these types and back.

mod assistant;
mod completion;
mod confidence;
mod conversation;
mod documents;
mod encoding;
mod error;
mod generation;
mod held;
mod model;
mod near;
mod next_edit;
mod prompt;
mod run;

pub use assistant::{Assistant, Tokenize, Warm};
pub use completion::{AtCursor, Completion, ContextFile, Form, ToModel};
pub use confidence::DEFAULT_MIN_CONFIDENCE;
pub use conversation::{Conversation, ToolUse};
pub use error::{Error, Limited};
pub use generation::{Generation, Limits, Sampling};
pub use held::HeldTexts;
pub use model::{Facts, Model, ModelHandle};
pub use near::NEAR_PREFIX_BYTES;
pub use next_edit::{NextEdit, NextEditForm, NextEditReader, Prediction, RecentEdit};
pub use run::{Outcome, Run, Update};

// The types that the ones above contain.
pub use runabout_engine::{
    Finish, FinishReason, JobError, Likelihood, LoadError, LoadProgress, LoadStage, Loaded, Models, Priority,
    State, Timing, Usage,
};
pub use runabout_text::{
    CallFault, Content, Format, Goal, Message, NextEditFormat, OpenJson, Rule, TemplateVariables, TextEdit,
    TextError, ToolCall, ToolChoice, Trimmed, Turn,
};

#[cfg(test)]
mod tests;
