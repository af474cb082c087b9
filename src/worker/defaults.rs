//! How a model's makers want it to be sampled.
//!
//! Read from generation_config.json. They hold for `chat`; code is completed greedily unless the request says
//! otherwise.

use std::path::Path;

use runabout_text::{SamplingParams, TokenId, Tokenizer, model_json};
use serde_json::Value;

/// For chats with models that do not say.
const CHAT_TEMPERATURE: f32 = 0.7;

/// What generation_config.json says; absent fields are the model's silence.
#[derive(Clone, Debug, Default)]
pub(crate) struct SamplingDefaults {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    do_sample: Option<bool>,
    /// Tokens that xtc spares: those that end a text, and the newline.
    xtc_special_tokens: Vec<TokenId>,
}

impl SamplingDefaults {
    /// A missing or unreadable file says nothing, and neither does a field that is no value of its parameter.
    pub(crate) fn read(folder: &Path, tokenizer: &Tokenizer) -> Self {
        let path = folder.join("generation_config.json");
        let mut said = Self::default();
        match std::fs::read(&path).map(|it| model_json::parse(&it)) {
            Ok(Ok(file)) => {
                let ignored;
                (said, ignored) = Self::said(&file);
                if !ignored.is_empty() {
                    tracing::warn!(path = %path.display(), fields = ignored.join(", "), "sampling defaults that cannot be used");
                }
            }
            Ok(Err(error)) => tracing::warn!(path = %path.display(), %error, "unreadable sampling defaults"),
            Err(_) => {}
        }
        said.xtc_special_tokens = tokenizer.encode_text("\n");
        said.xtc_special_tokens.extend(tokenizer.end_tokens());
        said
    }

    /// What the file says, and the fields of it that are no values of their parameters.
    fn said(file: &Value) -> (Self, Vec<&'static str>) {
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
        let mut said = Self {
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
            said.top_k = value.as_u64().and_then(|it| usize::try_from(it).ok());
            ignored.extend(said.top_k.is_none().then_some(field));
        }
        if let Some((field, value)) = given("do_sample") {
            said.do_sample = value.as_bool();
            ignored.extend(said.do_sample.is_none().then_some(field));
        }
        (said, ignored)
    }

    /// Parameters of a completion that asks for none.
    pub(crate) fn for_complete(&self) -> SamplingParams {
        SamplingParams { xtc_special_tokens: self.xtc_special_tokens.clone(), ..SamplingParams::default() }
    }

    /// Parameters of a chat that asks for none.
    pub(crate) fn for_chat(&self) -> SamplingParams {
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

    fn defaults(json: &str) -> SamplingParams {
        SamplingDefaults::said(&model_json::parse(json.as_bytes()).unwrap()).0.for_chat()
    }

    #[test]
    fn a_field_that_cannot_be_used_costs_no_other() {
        let file = model_json::parse(
            br#"{"temperature": NaN, "top_p": 0.9, "top_k": 20.0, "min_p": null, "do_sample": 1, "repetition_penalty": 0}"#,
        );
        let (said, ignored) = SamplingDefaults::said(file.as_ref().unwrap());
        assert_eq!(ignored, ["temperature", "repetition_penalty", "do_sample"]);
        let params = said.for_chat();
        assert_eq!((params.temperature, params.top_p, params.top_k, params.min_p), (0.7, 0.9, 20, 0.0));
        let (said, ignored) = SamplingDefaults::said(&serde_json::json!({"top_k": -1, "min_p": 1e300}));
        assert_eq!((ignored, said.for_chat().top_k), (vec!["min_p", "top_k"], 0));
    }

    #[test]
    fn a_model_that_says_nothing_is_sampled_at_the_common_temperature() {
        assert_eq!(
            defaults(r#"{"eos_token_id": 2}"#),
            SamplingParams { temperature: 0.7, ..SamplingParams::default() }
        );
    }

    #[test]
    fn a_model_that_was_made_for_greedy_decoding_gets_it() {
        let params = defaults(r#"{"do_sample": false, "temperature": 0.6}"#);
        assert_eq!(params, SamplingParams::default());
    }

    #[test]
    fn what_the_makers_say_holds() {
        let params = defaults(
            r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1}"#,
        );
        assert_eq!(
            (params.temperature, params.top_p, params.top_k, params.repetition_penalty),
            (0.6, 0.8, 20, 1.1)
        );
    }
}
