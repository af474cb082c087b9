//! A prompt, ready for the engine.

use runabout_engine::{JobError, ModelDescription, TextStart};
use runabout_text::{Healing, LineEnd, Rules, SamplingParams, TokenId, Trimmed};

/// What is computed for a request: the prompt's tokens, and how the text behind them is drawn and ended.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<TokenId>,
    /// What did not fit into the model's context.
    pub(crate) trimmed: Trimmed,
    pub(crate) params: SamplingParams,
    pub(crate) end_tokens: Vec<TokenId>,
    pub(crate) rules: Option<Rules>,
    pub(crate) healing: Option<Healing>,
    pub(crate) text_start: TextStart,
    /// How the file ends its lines; `None` leaves the text as it is drawn.
    pub(crate) line_end: Option<LineEnd>,
}

/// Refuses a prompt that must have too many tokens, judged by `n_least`, the fewest that its text can have. Cheaper than
/// encoding a text that cannot fit.
pub(crate) fn check_size(
    n_least: usize,
    max_tokens: u32,
    description: &ModelDescription,
) -> Result<(), JobError> {
    let limit = description.context_length.saturating_sub(max_tokens.min(1) as usize);
    if n_least <= limit { Ok(()) } else { Err(JobError::PromptTooLong { n_tokens: n_least, limit }) }
}
