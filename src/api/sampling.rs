//! The sampling parameters, which `complete` and `chat` have in common: [`Sampling`].
//!
//! On the wire they are beside the other params. serde's `flatten` would hide their names from the check for unknown
//! parameters, so a macro writes the same fields into each params struct, and [`Sampling`] collects them again.

use std::collections::BTreeMap;

/// The sampling parameters of a request. `None` means the method's default.
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

/// Declares a params struct with its own fields and the sampling parameters, and `sampling()` to collect the latter.
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
            /// The sampling temperature; 0 always takes the most likely token. Default: 0 for `complete`; for `chat`
            /// the value in the model's generation config, else 0.7.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0))]
            pub temperature: Option<f32>,
            /// Keeps only the most likely tokens whose probabilities add up to this value. Default: 1 (off); for `chat`
            /// the value in the model's generation config.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 1))]
            pub top_p: Option<f32>,
            /// Keeps only this number of the most likely tokens. Default: 0 (off); for `chat` the value in the model's
            /// generation config.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub top_k: Option<u32>,
            /// Keeps only tokens whose probability is at least this fraction of the most likely token's. Default: 0
            /// (off).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 1))]
            pub min_p: Option<f32>,
            /// The minimum number of tokens that `min_p` keeps. Default: 1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1))]
            pub min_tokens_to_keep: Option<u32>,
            /// The probability, at each token, of excluding all tokens above `xtc_threshold` but the least likely of
            /// them. Default: 0 (off).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 1))]
            pub xtc_probability: Option<f32>,
            /// The probability above which `xtc_probability` excludes tokens. Default: 0.1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 0.5))]
            pub xtc_threshold: Option<f32>,
            /// Values above 1 make tokens that already occurred less likely. Default: 1 (off).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0))]
            pub repetition_penalty: Option<f32>,
            /// The number of last tokens, including the prompt's, that the three penalties consider. Default: 20.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub repetition_context_size: Option<u32>,
            /// Subtracted once from the logit of each token that already occurred. Default: 0 (off).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub presence_penalty: Option<f32>,
            /// Subtracted from the logit of a token for each time that it already occurred. Default: 0 (off).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub frequency_penalty: Option<f32>,
            /// Values to add to the logits of tokens, by token id. Default: none.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub logit_bias: Option<std::collections::BTreeMap<u32, f32>>,
            /// The seed of random sampling: the same seed gives the same text for the same request, whatever else
            /// runs. Has no effect at temperature 0. Default: a new one for each request.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub seed: Option<u64>,
        }

        impl $name {
            /// The sampling parameters of this request.
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
