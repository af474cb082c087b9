//! How much text to generate and how: the parameters that completions and conversations share, and their limits.

use std::time::Duration;

use runabout_engine::Priority;
use runabout_text::{Format, SamplingParams, TokenId, Tokenizer};

use crate::error::{Error, Limited};

/// The longest stop string, in bytes. A longer one is surely a mistake.
const MAX_STOP_STRING_BYTES: u64 = 1024;

/// The largest values that a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_tokens: u32,
    pub max_choices: u32,
    pub max_logprobs: u32,
    pub max_stop_strings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_tokens: 8192, max_choices: 8, max_logprobs: 20, max_stop_strings: 16 }
    }
}

/// How much text to generate, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The maximum number of tokens to generate, at least 1.
    pub max_tokens: u32,
    /// The most tokens whose keys and values are kept, at least [`MIN_KV_TOKENS`](runabout_engine::MIN_KV_TOKENS): the
    /// first ones and the latest. Prompt and text may then be longer than the model's context. `None` keeps all.
    pub max_kv_tokens: Option<u32>,
    /// When this time has passed since the request arrived, waiting included, the text so far is the result. At least 1
    /// ms.
    pub time_budget: Option<Duration>,
    pub priority: Priority,
    /// Strings that end the text. They are not part of it.
    pub stop: Vec<String>,
    /// Names of tokens that end the text too, beside the model's own end tokens.
    pub end_tokens: Vec<String>,
    /// `Some(n)` reports the log probability of each token and of the `n` most likely ones.
    pub top_logprobs: Option<u32>,
    pub sampling: Sampling,
    /// The form that the text must have; `None` for any text. With it, no rule ends a completion.
    pub format: Option<Format>,
    /// Whether draft tokens may be used. They change the speed but never the text.
    pub speculate: bool,
}

impl Generation {
    /// Up to `max_tokens` tokens, with defaults for everything else.
    pub fn of(max_tokens: u32, priority: Priority) -> Self {
        Self {
            max_tokens,
            max_kv_tokens: None,
            time_budget: None,
            priority,
            stop: Vec::new(),
            end_tokens: Vec::new(),
            top_logprobs: None,
            sampling: Sampling::default(),
            format: None,
            speculate: true,
        }
    }

    /// The approximate size of its lists in memory.
    pub(crate) fn n_bytes(&self) -> usize {
        let stop: usize =
            self.stop.iter().chain(&self.end_tokens).map(|it| size_of::<String>() + it.len()).sum();
        let bias = self.sampling.logit_bias.as_ref().map_or(0, Vec::len);
        let format = self.format.as_ref().map_or(0, |it| match it {
            Format::JsonSchema(text) | Format::Regex(text) | Format::Lark(text) => text.len(),
        });
        stop + bias * size_of::<(TokenId, f32)>() + format
    }

    /// The tokens that end the text.
    pub(crate) fn all_end_tokens(&self, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, Error> {
        let named = self.end_tokens.iter().map(|name| {
            tokenizer.token_to_id(name).ok_or_else(|| Error::UnknownEndToken { name: name.clone() })
        });
        tokenizer.end_tokens().iter().copied().map(Ok).chain(named).collect()
    }

    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        within(Limited::MaxTokens, self.max_tokens.into(), 1, limits.max_tokens.into())?;
        within(Limited::TopLogprobs, self.top_logprobs.unwrap_or(0).into(), 0, limits.max_logprobs.into())?;
        if let Some(budget) = self.time_budget {
            let budget_ms = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
            within(Limited::TimeBudget, budget_ms, 1, u64::MAX)?;
        }
        within(Limited::StopStrings, self.stop.len() as u64, 0, limits.max_stop_strings as u64)?;
        self.stop.iter().enumerate().try_for_each(|(index, it)| {
            within(Limited::StopString(index), it.len() as u64, 1, MAX_STOP_STRING_BYTES)
        })
    }
}

/// Checks that `got` is between `min` and `max`, both included.
pub(crate) fn within(what: Limited, got: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(Error::OutOfRange { what, min, max, got }) }
}

/// Sampling parameters that a request sets; `None` leaves the model's default. [`SamplingParams`] explains each one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<usize>,
    pub min_p: Option<f32>,
    pub min_tokens_to_keep: Option<usize>,
    pub xtc_probability: Option<f32>,
    pub xtc_threshold: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub repetition_context_size: Option<usize>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub logit_bias: Option<Vec<(TokenId, f32)>>,
    pub seed: Option<u64>,
}

impl Sampling {
    /// These parameters, with `defaults` for those that are `None`.
    pub(crate) fn over(&self, defaults: SamplingParams) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            min_p: self.min_p.unwrap_or(defaults.min_p),
            min_tokens_to_keep: self.min_tokens_to_keep.unwrap_or(defaults.min_tokens_to_keep),
            xtc_probability: self.xtc_probability.unwrap_or(defaults.xtc_probability),
            xtc_threshold: self.xtc_threshold.unwrap_or(defaults.xtc_threshold),
            xtc_special_tokens: defaults.xtc_special_tokens,
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            repetition_context_size: self.repetition_context_size.unwrap_or(defaults.repetition_context_size),
            presence_penalty: self.presence_penalty.unwrap_or(defaults.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(defaults.frequency_penalty),
            logit_bias: self.logit_bias.clone().unwrap_or(defaults.logit_bias),
            seed: self.seed.or(defaults.seed),
        }
    }
}
