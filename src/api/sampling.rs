//! The sampling parameters, which stand beside a method's own ones.
//!
//! On the wire they are flat. serde's `flatten` would hide the names from whoever checks for unknown ones, so a
//! macro writes the same fields into each params struct, and [`Sampling`] takes them out again.

use std::collections::BTreeMap;

/// The sampling parameters of a request. `None`: not given, so the method's default holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<u32>,
    pub min_p: Option<f32>,
    pub min_tokens_to_keep: Option<u32>,
    pub xtc_probability: Option<f32>,
    pub xtc_threshold: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub repetition_context_size: Option<u32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub logit_bias: Option<BTreeMap<u32, f32>>,
    pub seed: Option<u64>,
}

/// Declares a params struct: its own fields, then the sampling parameters, and `sampling()` to read the latter.
macro_rules! params_with_sampling {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// How freely tokens are drawn; 0: always the most likely one. Default: 0 for `complete`; for `chat`
            /// what the model's own configuration says, else 0.7.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0))]
            pub temperature: Option<f32>,
            /// Keeps the most likely tokens whose probabilities add up to this. Default: 1, off; for `chat` the
            /// model's own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 1))]
            pub top_p: Option<f32>,
            /// Keeps this many of the most likely tokens. Default: 0, off; for `chat` the model's own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub top_k: Option<u32>,
            /// Keeps tokens at least this fraction as likely as the most likely one. Default: 0, off.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 1))]
            pub min_p: Option<f32>,
            /// `min_p` keeps at least so many tokens. Default: 1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1))]
            pub min_tokens_to_keep: Option<u32>,
            /// How likely it is, at each token, that all but the least likely of the tokens above `xtc_threshold`
            /// are left out. Default: 0, off.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 1))]
            pub xtc_probability: Option<f32>,
            /// See `xtc_probability`. Default: 0.1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 0.5))]
            pub xtc_threshold: Option<f32>,
            /// Above 1 makes tokens that came up less likely. Default: 1, off.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0))]
            pub repetition_penalty: Option<f32>,
            /// How many of the last tokens, prompt included, the three penalties look at. Default: 20.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub repetition_context_size: Option<u32>,
            /// Taken once from the logit of each token that came up. Default: 0, off.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub presence_penalty: Option<f32>,
            /// Taken from a token's logit for each time it came up. Default: 0, off.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub frequency_penalty: Option<f32>,
            /// Added to the logits of these tokens; keys are token ids.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub logit_bias: Option<std::collections::BTreeMap<u32, f32>>,
            /// The same seed gives the same text for the same request, whatever else runs. Default: a new one
            /// each time. Without effect at temperature 0.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub seed: Option<u64>,
        }

        impl $name {
            /// The sampling parameters among these.
            pub fn sampling(&self) -> $crate::Sampling {
                $crate::Sampling {
                    temperature: self.temperature,
                    top_p: self.top_p,
                    top_k: self.top_k,
                    min_p: self.min_p,
                    min_tokens_to_keep: self.min_tokens_to_keep,
                    xtc_probability: self.xtc_probability,
                    xtc_threshold: self.xtc_threshold,
                    repetition_penalty: self.repetition_penalty,
                    repetition_context_size: self.repetition_context_size,
                    presence_penalty: self.presence_penalty,
                    frequency_penalty: self.frequency_penalty,
                    logit_bias: self.logit_bias.clone(),
                    seed: self.seed,
                }
            }
        }
    };
}

pub(crate) use params_with_sampling;
