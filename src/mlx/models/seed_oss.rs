//! `seed_oss`: Seed-OSS and Seed-Coder's larger relatives: a llama with biases on q, k and v.
//!
//! Defaults as in mlx_lm's `models/seed_oss.py`.

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
    #[serde(default)]
    attention_out_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
}

const DEFAULT_CONTEXT: usize = 524_288;

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: fields.attention_out_bias };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention =
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, Some(&rope))?;
            let mlp = layout::gated_mlp(weights, &name, &dimensions, fields.mlp_bias, Activation::Silu)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Mlp(mlp))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}
