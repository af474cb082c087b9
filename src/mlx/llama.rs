//! `llama`: Llama, SmolLM, Mistral and the many models that share their layout.
//!
//! Defaults as in mlx_lm's `models/llama.py`.

use serde::Deserialize;

use crate::LoadError;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::decoder_config::DecoderConfig;
use crate::rope::RopeConfig;

#[derive(Deserialize)]
struct LlamaConfig {
    hidden_size: i32,
    num_hidden_layers: usize,
    intermediate_size: i32,
    num_attention_heads: i32,
    rms_norm_eps: f32,
    vocab_size: i32,
    head_dim: Option<i32>,
    max_position_embeddings: Option<usize>,
    num_key_value_heads: Option<i32>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    tie_word_embeddings: Option<bool>,
    sliding_window: Option<usize>,
    layer_types: Option<Vec<String>>,
}

/// Used when the file does not give a context length.
const DEFAULT_CONTEXT_TOKENS: usize = 2048;
const DEFAULT_ROPE_BASE: f32 = 10_000.0;

pub(crate) fn resolve(file: &ModelConfig, weights: &Checkpoint) -> Result<DecoderConfig, LoadError> {
    let config: LlamaConfig = file.fields()?;
    if config.layer_types.iter().flatten().any(|it| it != "full_attention") {
        return Err(file.unsupported("sliding-window attention is not supported"));
    }
    let head_dim = config.head_dim.unwrap_or(config.hidden_size / config.num_attention_heads.max(1));
    // Within its window, a model with sliding-window attention has full attention.
    let max_position_embeddings = config.max_position_embeddings.unwrap_or(DEFAULT_CONTEXT_TOKENS);
    let context = config
        .sliding_window
        .filter(|it| *it > 0)
        .map_or(max_position_embeddings, |it| it.min(max_position_embeddings));
    Ok(DecoderConfig {
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        intermediate_size: config.intermediate_size,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads.unwrap_or(config.num_attention_heads),
        head_dim,
        rms_norm_eps: config.rms_norm_eps,
        vocab_size: config.vocab_size,
        max_position_embeddings: context,
        tie_word_embeddings: weights.is_tied(file, config.tie_word_embeddings)?,
        qkv_bias: config.attention_bias,
        o_bias: config.attention_bias,
        mlp_bias: config.mlp_bias,
        rope: RopeConfig::read(file, DEFAULT_ROPE_BASE)?,
    })
}
