//! How a token is sampled: [`SamplingParams`], with names, meaning and order as in mlx_lm.
//!
//! This module has the parameters and their bounds only; the sampling itself runs on the model's device.

use serde::{Deserialize, Serialize};

use crate::{TextError, TokenId};

/// The sampling parameters of one sequence. The default is greedy.
///
/// The order is that of mlx_lm: `logit_bias`, then repetition, presence and frequency penalties on the logits; then,
/// unless `temperature` is 0 (argmax), top-p, min-p, xtc and top-k on the log probabilities; then one token is sampled
/// at `temperature`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingParams {
    pub temperature: f32,
    /// Keeps the most likely tokens whose probabilities add up to this; 1 or 0 turns it off.
    pub top_p: f32,
    /// Keeps this many of the most likely tokens; 0 turns it off.
    pub top_k: usize,
    /// Keeps the tokens at least this fraction as likely as the most likely one; 0 turns it off.
    pub min_p: f32,
    /// The least number of tokens that `min_p` keeps.
    pub min_tokens_to_keep: usize,
    /// The probability that "exclude top choices" (xtc) applies to a token; 0 turns it off.
    pub xtc_probability: f32,
    /// Tokens more likely than this count as top choices for xtc, which keeps only the least likely of them.
    pub xtc_threshold: f32,
    /// Tokens that xtc never excludes (end tokens and the newline), as in mlx_lm.
    pub xtc_special_tokens: Vec<TokenId>,
    /// A value above 1 makes repeated tokens less likely; 1 turns it off.
    pub repetition_penalty: f32,
    /// The number of last tokens that the penalties consider.
    pub repetition_context_size: usize,
    /// Subtracted once from the logit of each token that occurred; 0 turns it off.
    pub presence_penalty: f32,
    /// Subtracted from the logit of a token for each time it occurred; 0 turns it off.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// The seed of the random numbers; `None` lets the engine choose one.
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

impl SamplingParams {
    /// The number of last tokens on which a draw depends other than through the logits: 0 unless a penalty is on.
    #[expect(clippy::float_cmp, reason = "compared with the very values that switch a penalty off")]
    pub fn n_penalized(&self) -> usize {
        let has_penalty =
            self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0;
        if has_penalty { self.repetition_context_size } else { 0 }
    }

    /// Checks every parameter against its bounds: those of mlx_lm, or if it has none, bounds that keep the arithmetic
    /// finite. The error names the parameter.
    pub fn validate(&self, vocabulary_size: usize) -> Result<(), TextError> {
        let of_float = |field, value: f32, range: std::ops::RangeInclusive<f32>, expected| {
            // Also false for NaN.
            if range.contains(&value) {
                return Ok(());
            }
            Err(TextError::OutOfBounds { field, expected, got: value.to_string() })
        };
        of_float("temperature", self.temperature, 0.0..=2.0, "between 0 and 2")?;
        of_float("top_p", self.top_p, 0.0..=1.0, "between 0 and 1")?;
        of_float("min_p", self.min_p, 0.0..=1.0, "between 0 and 1")?;
        of_float("xtc_probability", self.xtc_probability, 0.0..=1.0, "between 0 and 1")?;
        of_float("xtc_threshold", self.xtc_threshold, 0.0..=0.5, "between 0 and 0.5")?;
        // Not 0, since logits are divided by it.
        of_float("repetition_penalty", self.repetition_penalty, 0.01..=10.0, "between 0.01 and 10")?;
        of_float("presence_penalty", self.presence_penalty, -2.0..=2.0, "between -2 and 2")?;
        of_float("frequency_penalty", self.frequency_penalty, -2.0..=2.0, "between -2 and 2")?;
        if self.min_tokens_to_keep == 0 {
            return Err(TextError::OutOfBounds {
                field: "min_tokens_to_keep",
                expected: "at least 1",
                got: "0".to_owned(),
            });
        }
        for &(token, bias) in &self.logit_bias {
            of_float("logit_bias", bias, -100.0..=100.0, "between -100 and 100")?;
            if usize::try_from(token).is_ok_and(|token| token >= vocabulary_size) {
                return Err(TextError::UnknownToken { token, vocabulary_size });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_default_and_all_the_bounds_themselves_are_valid() {
        SamplingParams::default().validate(10).unwrap();
        let highest = SamplingParams {
            temperature: 2.0,
            min_p: 1.0,
            top_k: 1_000_000,
            xtc_probability: 1.0,
            xtc_threshold: 0.5,
            repetition_penalty: 10.0,
            repetition_context_size: 0,
            presence_penalty: 2.0,
            frequency_penalty: -2.0,
            logit_bias: vec![(0, -100.0), (9, 100.0)],
            ..SamplingParams::default()
        };
        highest.validate(10).unwrap();
    }

    #[test]
    fn an_error_names_the_parameter_its_bounds_and_the_value() {
        let ok = SamplingParams::default;
        let cases = [
            (SamplingParams { temperature: 3.0, ..ok() }, "`temperature` must be between 0 and 2, got 3"),
            (
                SamplingParams { temperature: f32::NAN, ..ok() },
                "`temperature` must be between 0 and 2, got NaN",
            ),
            (SamplingParams { top_p: 1.5, ..ok() }, "`top_p` must be between 0 and 1, got 1.5"),
            (SamplingParams { min_p: -0.1, ..ok() }, "`min_p` must be between 0 and 1, got -0.1"),
            (
                SamplingParams { xtc_probability: 2.0, ..ok() },
                "`xtc_probability` must be between 0 and 1, got 2",
            ),
            (
                SamplingParams { xtc_threshold: 0.6, ..ok() },
                "`xtc_threshold` must be between 0 and 0.5, got 0.6",
            ),
            (
                SamplingParams { repetition_penalty: 0.0, ..ok() },
                "`repetition_penalty` must be between 0.01 and 10, got 0",
            ),
            (
                SamplingParams { presence_penalty: 2.5, ..ok() },
                "`presence_penalty` must be between -2 and 2, got 2.5",
            ),
            (
                SamplingParams { frequency_penalty: -3.0, ..ok() },
                "`frequency_penalty` must be between -2 and 2, got -3",
            ),
            (
                SamplingParams { min_tokens_to_keep: 0, ..ok() },
                "`min_tokens_to_keep` must be at least 1, got 0",
            ),
            (
                SamplingParams { logit_bias: vec![(1, f32::INFINITY)], ..ok() },
                "`logit_bias` must be between -100 and 100, got inf",
            ),
            (
                SamplingParams { logit_bias: vec![(10, 1.0)], ..ok() },
                "`logit_bias` must name tokens below 10, got 10",
            ),
        ];
        for (params, expected) in cases {
            assert_eq!(params.validate(10).unwrap_err().to_string(), expected);
        }
    }
}
