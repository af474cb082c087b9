//! `olmo2`: OLMo 2: norms after attention and feed-forward network only, and on all queries and keys together.
//!
//! Defaults as in mlx_lm's `models/olmo2.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
}

const DEFAULT_CONTEXT: usize = 2048;

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: fields.attention_bias };
    let (heads, eps) = (dimensions.heads, dimensions.norm_eps);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attn = format!("{name}.self_attn");
            let attention = layout::attention(weights, &attn, &dimensions, bias, Some(&rope))?;
            let q_norm = Some(weights.norm(&format!("{attn}.q_norm"), heads.n_query(), eps)?);
            let k_norm = Some(weights.norm(&format!("{attn}.k_norm"), heads.n_key(), eps)?);
            let attention = Attention { q_norm, k_norm, ..attention };
            let mlp = layout::gated_mlp(weights, &name, &dimensions, fields.mlp_bias, Activation::Silu)?;
            let mut norm =
                |part: &str| weights.norm(&format!("{name}.{part}"), dimensions.n_hidden, eps).map(Some);
            Ok(Block::new(
                Residual {
                    before: None,
                    inner: Mixer::Attention(attention),
                    after: norm("post_attention_layernorm")?,
                    scale: 1.0,
                    group: None,
                },
                Residual {
                    before: None,
                    inner: FeedForward::Mlp(mlp),
                    after: norm("post_feedforward_layernorm")?,
                    scale: 1.0,
                    group: None,
                },
            ))
        })
        .collect::<Result<_, LoadError>>()?;
    layout::network(weights, &dimensions, blocks)
}
