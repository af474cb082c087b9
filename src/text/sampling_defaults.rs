//! The sampling parameters that a model's publisher recommends in `generation_config.json`: [`SamplingDefaults`].
//!
//! They are the defaults for conversations. Completions are greedy unless the request says otherwise.

use std::path::Path;

use serde_json::Value;

use crate::{SamplingParams, TokenId, Tokenizer, model_json};

/// The temperature of conversations with models that recommend none.
const CHAT_TEMPERATURE: f32 = 0.7;

/// The values in `generation_config.json`; `None` for those that are not set.
#[derive(Clone, Debug, Default)]
pub struct SamplingDefaults {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    do_sample: Option<bool>,
    /// Tokens that xtc never excludes: end tokens and the newline.
    xtc_special_tokens: Vec<TokenId>,
}

impl SamplingDefaults {
    /// Reads the file in a model's folder. If it is missing or cannot be read, nothing is set. If the file is not valid
    /// JSON, nothing is set either, and an invalid field is not set; both are logged as warnings.
    pub fn read(folder: &Path, tokenizer: &Tokenizer) -> Self {
        let path = folder.join("generation_config.json");
        let mut defaults = Self::default();
        match std::fs::read(&path).map(|it| model_json::parse(&it)) {
            Ok(Ok(file)) => {
                let ignored;
                (defaults, ignored) = Self::from_json(&file);
                if !ignored.is_empty() {
                    tracing::warn!(path = %path.display(), fields = ignored.join(", "), "ignored invalid sampling defaults");
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "ignored unreadable sampling defaults");
            }
            Err(_) => {}
        }
        defaults.xtc_special_tokens = tokenizer.encode_text("\n");
        defaults.xtc_special_tokens.extend(tokenizer.end_tokens());
        defaults
    }

    /// The file's values, and the names of the fields whose values are invalid.
    fn from_json(file: &Value) -> (Self, Vec<&'static str>) {
        let mut ignored = Vec::new();
        let given = |field: &'static str| Some((field, file.get(field)?)).filter(|it| !it.1.is_null());
        let mut float = |field: &'static str, params: fn(f32) -> SamplingParams| {
            let (field, value) = given(field)?;
            #[expect(clippy::cast_possible_truncation, reason = "parameters are of single precision")]
            let value = model_json::float(value).map(|it| it as f32);
            let value = value.filter(|it| params(*it).validate(0).is_ok());
            if value.is_none() {
                ignored.push(field);
            }
            value
        };
        let mut defaults = Self {
            temperature: float("temperature", |temperature| SamplingParams {
                temperature,
                ..SamplingParams::default()
            }),
            top_p: float("top_p", |top_p| SamplingParams { top_p, ..SamplingParams::default() }),
            min_p: float("min_p", |min_p| SamplingParams { min_p, ..SamplingParams::default() }),
            repetition_penalty: float("repetition_penalty", |repetition_penalty| SamplingParams {
                repetition_penalty,
                ..SamplingParams::default()
            }),
            ..Self::default()
        };
        if let Some((field, value)) = given("top_k") {
            defaults.top_k = value.as_u64().and_then(|it| usize::try_from(it).ok());
            ignored.extend(defaults.top_k.is_none().then_some(field));
        }
        if let Some((field, value)) = given("do_sample") {
            defaults.do_sample = value.as_bool();
            ignored.extend(defaults.do_sample.is_none().then_some(field));
        }
        (defaults, ignored)
    }

    /// The parameters of a completion whose request sets none: greedy.
    pub fn for_completion(&self) -> SamplingParams {
        SamplingParams { xtc_special_tokens: self.xtc_special_tokens.clone(), ..SamplingParams::default() }
    }

    /// The parameters of a conversation whose request sets none.
    pub fn for_conversation(&self) -> SamplingParams {
        let off = SamplingParams::default();
        let temperature = if self.do_sample == Some(false) { Some(0.0) } else { self.temperature };
        SamplingParams {
            temperature: temperature.unwrap_or(CHAT_TEMPERATURE),
            top_p: self.top_p.unwrap_or(off.top_p),
            top_k: self.top_k.unwrap_or(off.top_k),
            min_p: self.min_p.unwrap_or(off.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(off.repetition_penalty),
            xtc_special_tokens: self.xtc_special_tokens.clone(),
            ..off
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn for_conversation(json: &str) -> SamplingParams {
        SamplingDefaults::from_json(&model_json::parse(json.as_bytes()).unwrap()).0.for_conversation()
    }

    #[test]
    fn a_field_that_cannot_be_used_costs_no_other() {
        let file = model_json::parse(
            br#"{"temperature": NaN, "top_p": 0.9, "top_k": 20.0, "min_p": null, "do_sample": 1, "repetition_penalty": 0}"#,
        );
        let (defaults, ignored) = SamplingDefaults::from_json(file.as_ref().unwrap());
        assert_eq!(ignored, ["temperature", "repetition_penalty", "do_sample"]);
        let params = defaults.for_conversation();
        assert_eq!((params.temperature, params.top_p, params.top_k, params.min_p), (0.7, 0.9, 20, 0.0));
        let (defaults, ignored) =
            SamplingDefaults::from_json(&serde_json::json!({"top_k": -1, "min_p": 1e300}));
        assert_eq!((ignored, defaults.for_conversation().top_k), (vec!["min_p", "top_k"], 0));
    }

    #[test]
    fn a_model_that_says_nothing_is_sampled_at_the_common_temperature() {
        assert_eq!(
            for_conversation(r#"{"eos_token_id": 2}"#),
            SamplingParams { temperature: 0.7, ..SamplingParams::default() }
        );
    }

    #[test]
    fn a_model_that_was_made_for_greedy_decoding_gets_it() {
        let params = for_conversation(r#"{"do_sample": false, "temperature": 0.6}"#);
        assert_eq!(params, SamplingParams::default());
    }

    #[test]
    fn what_the_makers_say_holds() {
        let params = for_conversation(
            r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1}"#,
        );
        assert_eq!(
            (params.temperature, params.top_p, params.top_k, params.repetition_penalty),
            (0.6, 0.8, 20, 1.1)
        );
    }
}
