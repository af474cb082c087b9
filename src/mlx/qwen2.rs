//! `qwen2`: Qwen2 and Qwen2.5, Qwen2.5-Coder among them: biases on q, k and v only.
//!
//! Defaults as in mlx_lm's `models/qwen2.py`.

use serde::Deserialize;

use crate::LoadError;
use crate::config::ModelConfig;
use crate::decoder::{Decoder, DecoderConfig};
use crate::rope::{Rope, RopeScaling};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Qwen2Config {
    hidden_size: i32,
    num_hidden_layers: usize,
    intermediate_size: i32,
    num_attention_heads: i32,
    num_key_value_heads: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    max_position_embeddings: Option<usize>,
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    tie_word_embeddings: Option<bool>,
}

const DEFAULT_CONTEXT_TOKENS: usize = 32_768;

pub(crate) fn load(file: &ModelConfig, weights: &mut Weights) -> Result<Decoder, LoadError> {
    let config: Qwen2Config = file.fields()?;
    let head_dim = config.hidden_size / config.num_attention_heads.max(1);
    let rope = Rope::new(
        head_dim,
        config.rope_theta.unwrap_or(1_000_000.0),
        config.rope_traditional,
        config.rope_scaling.as_ref(),
    )
    .map_err(|message| file.unsupported(message))?;
    let config = DecoderConfig {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads,
        head_dim,
        rms_norm_eps: config.rms_norm_eps,
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings.unwrap_or(DEFAULT_CONTEXT_TOKENS),
        tie_word_embeddings: config.tie_word_embeddings.unwrap_or(true),
        qkv_bias: true,
        o_bias: false,
        mlp_bias: false,
    };
    Decoder::load(weights, config, rope)
}
