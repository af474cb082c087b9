//! The architectures: each file turns config.json and the weights of one `model_type` into a [`Network`].

mod deepseek_v2;
mod dimensions;
mod gemma2;
mod gemma3_text;
mod gemma4_text;
mod glm4;
mod glm4_moe;
mod gpt_oss;
mod granite;
mod granitemoe;
mod granitemoehybrid;
mod layout;
mod lfm2;
mod llama;
mod mellum;
mod ministral3;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_5;
mod qwen3_moe;
mod qwen3_next;
mod seed_oss;
mod smollm3;
mod starcoder2;

use crate::LoadError;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::weights::Weights;

pub(crate) type Architecture = fn(&ModelConfig, &mut Weights<'_>) -> Result<Network, LoadError>;

/// The supported architectures, by the `model_type` in config.json. Some types share an architecture, as in mlx_lm.
const ARCHITECTURES: &[(&str, Architecture)] = &[
    ("llama", llama::network),
    ("mistral", llama::network),
    ("iquestcoder", llama::network),
    ("xverse", llama::network),
    ("deepseek_v2", deepseek_v2::network),
    ("qwen2", qwen2::network),
    ("qwen3", qwen3::network),
    ("qwen3_moe", qwen3_moe::network),
    ("qwen3_next", qwen3_next::network),
    ("qwen3_5", qwen3_5::network),
    ("qwen3_5_text", qwen3_5::network),
    ("qwen3_5_moe", qwen3_5::network),
    ("qwen3_5_moe_text", qwen3_5::network),
    ("gemma2", gemma2::network),
    ("gemma3_text", gemma3_text::network),
    ("gemma3", gemma3_text::network_with_eyes),
    ("gemma4_text", gemma4_text::network),
    ("gemma4", gemma4_text::network),
    ("gemma4_unified", gemma4_text::network),
    ("glm4", glm4::network),
    ("glm4_moe", glm4_moe::network),
    ("gpt_oss", gpt_oss::network),
    ("granite", granite::network),
    ("granitemoe", granitemoe::network),
    ("granitemoehybrid", granitemoehybrid::network),
    ("lfm2", lfm2::network),
    ("mellum", mellum::network),
    ("ministral3", ministral3::network),
    ("mistral3", ministral3::network_with_eyes),
    ("olmo2", olmo2::network),
    ("phi3", phi3::network),
    ("seed_oss", seed_oss::network),
    ("smollm3", smollm3::network),
    ("starcoder2", starcoder2::network),
];

/// The architecture of a model, or the error that names those that are supported.
pub(crate) fn architecture(file: &ModelConfig) -> Result<Architecture, LoadError> {
    let found = ARCHITECTURES.iter().find(|it| it.0 == file.model_type);
    found.map(|it| it.1).ok_or_else(|| LoadError::UnsupportedArchitecture {
        model_type: file.model_type.clone(),
        supported: ARCHITECTURES.iter().map(|it| it.0).collect(),
    })
}

/// The supported architectures.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|it| it.0)
}
