//! A prompt, ready for the engine.

use runabout_engine::{JobError, ModelDescription, NearPrompt, TextStart};
use runabout_text::{Constraint, Healing, LineEnd, Rules, SamplingParams, TokenId, Trimmed, TurnReader};

use crate::generation::Generation;
use crate::model::Model;

/// What is built for a request: the prompt's tokens, and how the text after them is sampled and ended.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<TokenId>,
    /// A shorter one, for a request that cannot wait long.
    pub(crate) near: Option<PromptNear>,
    /// What was left out because it did not fit into the model's context.
    pub(crate) trimmed: Trimmed,
    pub(crate) params: SamplingParams,
    pub(crate) end_tokens: Vec<TokenId>,
    pub(crate) rules: Option<Rules>,
    pub(crate) healing: Option<Healing>,
    pub(crate) constraint: Option<Constraint>,
    pub(crate) text_start: TextStart,
    /// The file's line ends, to which the text is converted; `None` leaves the text unchanged.
    pub(crate) line_end: Option<LineEnd>,
    /// Strings that end the text, in addition to those of the request.
    pub(crate) stop: &'static [&'static str],
    /// The most tokens that an answer to this prompt needs, if that is known.
    pub(crate) most_tokens: Option<usize>,
    /// Reads the text as a turn of a conversation.
    pub(crate) turn: Option<TurnReader>,
}

/// The prompt of the text near the cursor.
pub(crate) struct PromptNear {
    pub(crate) prompt: NearPrompt,
    /// What it leaves out.
    pub(crate) trimmed: Trimmed,
}

impl Prompt {
    /// Where its parts begin, if the model needs to know; see [`Job::borders`](runabout_engine::Job::borders).
    pub(crate) fn borders(&self, model: &Model) -> Vec<usize> {
        if model.description.slot_cost.needs_checkpoints() {
            model.facts.tokenizer.borders(&self.tokens)
        } else {
            Vec::new()
        }
    }
}

/// Refuses a prompt that is certainly too long: `n_least` is the smallest number of tokens that its text can have. This
/// is much cheaper than encoding such a text.
pub(crate) fn check_size(
    n_least: usize,
    generation: &Generation,
    description: &ModelDescription,
) -> Result<(), JobError> {
    let limit = description.context_length.saturating_sub(generation.max_tokens.min(1) as usize);
    if n_least <= limit || generation.max_kv_tokens.is_some() {
        Ok(())
    } else {
        Err(JobError::PromptTooLong { n_tokens: n_least, limit })
    }
}
