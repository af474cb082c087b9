//! `qwen2`: Qwen2 and Qwen2.5, Qwen2.5-Coder among them: biases on q, k and v only.
//!
//! Defaults as in mlx_lm's `models/qwen2.py`.

use serde::Deserialize;

use crate::LoadError;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::decoder_config::DecoderConfig;
use crate::rope::RopeConfig;

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
    tie_word_embeddings: Option<bool>,
}

const DEFAULT_CONTEXT_TOKENS: usize = 32_768;
const DEFAULT_ROPE_BASE: f32 = 1_000_000.0;

pub(crate) fn resolve(file: &ModelConfig, weights: &Checkpoint) -> Result<DecoderConfig, LoadError> {
    let config: Qwen2Config = file.fields()?;
    let head_dim = config.hidden_size / config.num_attention_heads.max(1);
    Ok(DecoderConfig {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads,
        head_dim,
        rms_norm_eps: config.rms_norm_eps,
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings.unwrap_or(DEFAULT_CONTEXT_TOKENS),
        tie_word_embeddings: weights.is_tied(file, config.tie_word_embeddings)?,
        qkv_bias: true,
        o_bias: false,
        mlp_bias: false,
        rope: RopeConfig::read(file, DEFAULT_ROPE_BASE)?,
    })
}
