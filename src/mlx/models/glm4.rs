//! `glm4`: GLM-4 of 2025: norms before and after attention and feed-forward network, half of each head rotated.
//!
//! Defaults as in mlx_lm's `models/glm4.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    attention_bias: bool,
}

const DEFAULT_CONTEXT: usize = 32_768;
const ROPE: RopeDefaults<'_> =
    RopeDefaults { is_traditional: true, rotated_part: Some(0.5), ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: false };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention =
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, Some(&rope))?;
            let mlp = layout::joined_mlp(weights, &name, &dimensions, Activation::Silu)?;
            let mut norm = |part: &str| {
                weights.norm(&format!("{name}.{part}"), dimensions.n_hidden, dimensions.norm_eps)
            };
            Ok(layout::double_normed(
                attention,
                FeedForward::Mlp(mlp),
                [
                    norm("input_layernorm")?,
                    norm("post_self_attn_layernorm")?,
                    norm("post_attention_layernorm")?,
                    norm("post_mlp_layernorm")?,
                ],
            ))
        })
        .collect::<Result<_, LoadError>>()?;
    layout::network(weights, &dimensions, blocks)
}
