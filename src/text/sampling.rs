//! How a token is drawn: names, meaning and order as in mlx_lm.

use crate::TokenId;

/// Sampling parameters of one sequence. The default is greedy.
///
/// Order, as in mlx_lm: `logit_bias`, repetition, presence and frequency penalties on the logits; then, unless
/// `temperature` is 0 (argmax): top-p, min-p, xtc, top-k on the log probabilities; then one draw at `temperature`.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    pub temperature: f32,
    /// Keeps the most likely tokens whose probabilities add up to this; 1 (or 0): off.
    pub top_p: f32,
    /// Keeps this many of the most likely tokens; 0: off.
    pub top_k: usize,
    /// Keeps tokens at least this fraction as likely as the most likely one; 0: off.
    pub min_p: f32,
    pub min_tokens_to_keep: usize,
    /// How likely "exclude top choices" applies at a token; 0: off.
    pub xtc_probability: f32,
    pub xtc_threshold: f32,
    /// Tokens that xtc never excludes (end tokens and the newline), as in mlx_lm.
    pub xtc_special_tokens: Vec<TokenId>,
    /// Above 1 makes repeated tokens less likely; 1: off.
    pub repetition_penalty: f32,
    /// How many of the last tokens the penalties look at.
    pub repetition_context_size: usize,
    /// Taken once from the logit of each token seen; 0: off.
    pub presence_penalty: f32,
    /// Taken from a token's logit for each time it was seen; 0: off.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// `None`: the engine draws one.
    pub seed: Option<u64>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            min_tokens_to_keep: 1,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            xtc_special_tokens: Vec::new(),
            repetition_penalty: 1.0,
            repetition_context_size: 20,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: None,
        }
    }
}
