//! How tokens are drawn: the options of the commands that print a text.

use clap::Args;
use runabout_assist::Sampling;

/// The sampling parameters, with the names, meaning and order that they have in mlx_lm.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// The sampling temperature; 0 always takes the most likely token. By default 0 for `generate` and `complete`, the
    /// model's own for `chat`
    #[arg(long, visible_alias = "temp", value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Keep the most likely tokens whose probabilities add up to this
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// Keep this many of the most likely tokens
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<usize>,
    /// Keep the tokens that are at least this fraction as likely as the most likely one
    #[arg(long, value_name = "P")]
    pub(crate) min_p: Option<f32>,
    /// The least number of tokens that `--min-p` keeps
    #[arg(long, value_name = "N")]
    pub(crate) min_tokens_to_keep: Option<usize>,
    /// The probability that XTC (exclude top choices) applies to a token
    #[arg(long, value_name = "P")]
    pub(crate) xtc_probability: Option<f32>,
    /// Tokens more likely than this are top choices for XTC
    #[arg(long, value_name = "P")]
    pub(crate) xtc_threshold: Option<f32>,
    /// Make repeated tokens less likely; 1 changes nothing
    #[arg(long, value_name = "X")]
    pub(crate) repetition_penalty: Option<f32>,
    /// How many of the last tokens the penalties consider
    #[arg(long, value_name = "N")]
    pub(crate) repetition_context_size: Option<usize>,
    /// Subtracted once from the logit of each token that occurred
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub(crate) presence_penalty: Option<f32>,
    /// Subtracted from the logit of a token for each time it occurred
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub(crate) frequency_penalty: Option<f32>,
    /// The seed for sampling; the same seed gives the same text
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

impl From<&SamplingArgs> for Sampling {
    fn from(args: &SamplingArgs) -> Self {
        Self {
            temperature: args.temperature,
            top_p: args.top_p,
            top_k: args.top_k,
            min_p: args.min_p,
            min_tokens_to_keep: args.min_tokens_to_keep,
            xtc_probability: args.xtc_probability,
            xtc_threshold: args.xtc_threshold,
            repetition_penalty: args.repetition_penalty,
            repetition_context_size: args.repetition_context_size,
            presence_penalty: args.presence_penalty,
            frequency_penalty: args.frequency_penalty,
            logit_bias: None,
            seed: args.seed,
        }
    }
}
