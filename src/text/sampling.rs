//! How a token is drawn: names, meaning and order as in mlx_lm.
//!
//! Only the parameters and their bounds; drawing itself belongs to the model's device.

use crate::{TextError, TokenId};

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

impl SamplingParams {
    /// Checks every parameter against its bounds: mlx_lm's, and where it has none, those that keep the arithmetic
    /// finite. The error names the parameter.
    pub fn validate(&self, vocabulary_size: usize) -> Result<(), TextError> {
        let of_float = |field, value: f32, range: std::ops::RangeInclusive<f32>, expected| {
            // Also false for what is not a number.
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
        // A logit is divided by it.
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
