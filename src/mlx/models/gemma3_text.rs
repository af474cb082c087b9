//! `gemma3_text`: Gemma 3 without its eyes: most layers attend within a window, with positions of their own.
//!
//! Defaults as in mlx_lm's `models/gemma3_text.py`.

use std::rc::Rc;

use runabout_kernels::bf16;
use serde::Deserialize;
use serde_json::json;

use super::dimensions::Dimensions;
use super::gemma2;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    rope_local_base_freq: Option<f32>,
    query_pre_attn_scalar: Option<f32>,
    sliding_window: Option<usize>,
    sliding_window_pattern: Option<usize>,
    layer_types: Option<Vec<String>>,
}

const DEFAULT_CONTEXT: usize = 32_768;
const DEFAULT_LOCAL_BASE: f32 = 10_000.0;
const DEFAULT_QUERY_SCALAR: f32 = 256.0;
const DEFAULT_WINDOW: usize = 512;
/// One layer of so many attends to everything, the last of them.
const DEFAULT_PATTERN: usize = 6;
const ROPE: RopeDefaults<'_> =
    RopeDefaults { base: 1_000_000.0, layer_type: Some("full_attention"), ..RopeDefaults::DENSE };

/// The text part of a model with eyes, whose config.json leaves out what is as in the first of them.
pub(super) fn network_with_eyes(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let file = file.with_defaults(json!({
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6, "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
    }));
    network(&file, weights)
}

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    // mlx_lm looks at the weights only.
    dimensions.is_tied = None;
    let window = fields.sliding_window.unwrap_or(DEFAULT_WINDOW);
    file.positive("sliding_window", i32::try_from(window).unwrap_or(i32::MAX))?;
    let pattern = fields.sliding_window_pattern.unwrap_or(DEFAULT_PATTERN);
    file.positive("sliding_window_pattern", i32::try_from(pattern).unwrap_or(i32::MAX))?;
    let is_sliding = layout::sliding_layers(file, fields.layer_types.as_deref(), dimensions.n_layers, |i| {
        !(i + 1).is_multiple_of(pattern)
    })?;
    let scalar = fields.query_pre_attn_scalar.unwrap_or(DEFAULT_QUERY_SCALAR);
    let scale = file.finite("query_pre_attn_scalar", scalar)?.sqrt().recip();
    let head_dim = dimensions.heads.head_dim;
    let rope = Rc::new(Rope::read(file, head_dim, &ROPE)?);
    let local_base = fields.rope_local_base_freq.unwrap_or(DEFAULT_LOCAL_BASE);
    let local_rope = Rc::new(Rope::read_local(file, head_dim, "rope_local_base_freq", local_base)?);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attn = format!("{name}.self_attn");
            let mut norm =
                |part: &str| weights.norm_around_1(&format!("{attn}.{part}"), head_dim, dimensions.norm_eps);
            let (q_norm, k_norm) = (Some(norm("q_norm")?), Some(norm("k_norm")?));
            let (rope, window) = if is_sliding[i] { (&local_rope, Some(window)) } else { (&rope, None) };
            let attention =
                layout::attention(weights, &attn, &dimensions, AttentionBias::default(), Some(rope))?;
            let attention = Attention { q_norm, k_norm, scale, window, ..attention };
            gemma2::layer(weights, &name, &dimensions, attention)
        })
        .collect::<Result<_, _>>()?;
    let norm = weights.norm_around_1("model.norm", dimensions.n_hidden, dimensions.norm_eps)?;
    Ok(Network {
        // Rounded as in training.
        embedding_scale: bf16::from_f32((dimensions.n_hidden as f32).sqrt()).to_f32(),
        ..layout::network_with(weights, &dimensions, blocks, norm)?
    })
}
