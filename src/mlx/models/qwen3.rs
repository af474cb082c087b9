//! `qwen3`: the dense Qwen3 models: a norm on each query and key head.
//!
//! Defaults as in mlx_lm's `models/qwen3.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    attention_bias: bool,
}

const DEFAULT_CONTEXT: usize = 32_768;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 1_000_000.0, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let fields: Fields = file.fields()?;
    let bias = AttentionBias { qkv: fields.attention_bias, o: fields.attention_bias };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention = attention(weights, &name, &dimensions, bias, &rope)?;
            let mlp = layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Mlp(mlp))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}

/// Attention with a norm on each query and key head.
pub(super) fn attention(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    bias: AttentionBias,
    rope: &Rc<Rope>,
) -> Result<Attention, LoadError> {
    let name = format!("{layer}.self_attn");
    let mut norm =
        |part: &str| weights.norm(&format!("{name}.{part}"), dimensions.heads.head_dim, dimensions.norm_eps);
    let (q_norm, k_norm) = (Some(norm("q_norm")?), Some(norm("k_norm")?));
    let attention = layout::attention(weights, &name, dimensions, bias, Some(rope))?;
    Ok(Attention { q_norm, k_norm, ..attention })
}
