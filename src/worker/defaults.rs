//! How a model's makers want it to be sampled.
//!
//! Read from generation_config.json. They hold for `chat`; code is completed greedily unless the request says
//! otherwise.

use std::path::Path;

use runabout_text::{SamplingParams, TokenId, Tokenizer};
use serde::Deserialize;

/// For chats with models that do not say.
const CHAT_TEMPERATURE: f32 = 0.7;

/// What generation_config.json says; absent fields are the model's silence.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct SamplingDefaults {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    do_sample: Option<bool>,
    /// Tokens that xtc spares: those that end a text, and the newline.
    #[serde(skip)]
    xtc_special_tokens: Vec<TokenId>,
}

impl SamplingDefaults {
    /// A missing or unreadable file says nothing.
    pub(crate) fn read(folder: &Path, tokenizer: &Tokenizer) -> Self {
        let said: Self = std::fs::read(folder.join("generation_config.json"))
            .ok()
            .and_then(|it| serde_json::from_slice(&it).ok())
            .unwrap_or_default();
        let mut xtc_special_tokens = tokenizer.encode_text("\n");
        xtc_special_tokens.extend(tokenizer.end_tokens());
        Self { xtc_special_tokens, ..said }
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
        serde_json::from_str::<SamplingDefaults>(json).unwrap().for_chat()
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
