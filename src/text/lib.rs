//! Text processing without a model: tokenizer, detokenizer, chat templates, fill-in-the-middle and next-edit formats,
//! completion rules, stop strings, sampling parameters, formats that a text must have.
//!
//! The invariant throughout: text from a user is never parsed as control tokens. The only files that this crate reads
//! are those of a model folder's tokenizer and configuration; it knows neither tensors nor the protocol.

mod abilities;
mod beginning;
mod chat;
mod constraint;
mod detokenizer;
mod error;
mod fim;
mod fit;
mod healing;
mod line_ends;
pub mod model_json;
mod next_edit;
mod pause;
mod rules;
mod sampling;
mod sampling_defaults;
mod stop;
mod token_set;
mod tokenizer;
mod turn;

pub use abilities::Abilities;
pub use chat::{ChatPrompt, ChatRequest, Content, Message, TemplateVariables, ToolCall};
pub use constraint::{Allowed, Constraint, Format, FormatFailed, OpenJson};
pub use detokenizer::Detokenizer;
pub use error::TextError;
pub use fim::{CompletionPrompt, FimFormat, Order, continuation_prompt};
pub use fit::{Budget, ContextFile, Surroundings, Trimmed, fit};
pub use healing::{Healing, healing_start};
pub use line_ends::{InLf, LineEnd, ToLf};
pub use next_edit::{
    EditWindow, Edited, NextEditFormat, NextEditPrompt, NoPrompt, PredictedEdits, RecentEdit, TextEdit,
};
pub use pause::interruptible;
pub use rules::{Cursor, Goal, Rule, RuleOutput, Rules};
pub use sampling::SamplingParams;
pub use sampling_defaults::SamplingDefaults;
pub use stop::{StopMatcher, StopOutput};
pub use token_set::TokenSet;
pub use tokenizer::{Tokenizer, TokenizerParts};
pub use turn::{CallFault, Piece, ToolChoice, Tools, Turn, TurnFormat, TurnReader};

/// An index into the model's vocabulary.
pub type TokenId = u32;
