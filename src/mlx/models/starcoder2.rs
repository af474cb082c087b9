//! `starcoder2`: StarCoder 2: layer norms, biases everywhere, and a feed-forward network without a gate.
//!
//! Defaults as in mlx_lm's `models/starcoder2.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Mlp, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    sliding_window: Option<usize>,
}

const DEFAULT_CONTEXT: usize = 16_384;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 100_000.0, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    // Within its window, a model with sliding-window attention has full attention.
    if let Some(window) = fields.sliding_window.filter(|it| *it > 0) {
        dimensions.context_length = dimensions.context_length.min(window);
    }
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let (n_hidden, n_inner, eps) = (dimensions.n_hidden, dimensions.n_inner, dimensions.norm_eps);
    let bias = AttentionBias { qkv: true, o: true };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention =
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, Some(&rope))?;
            let mlp = Mlp {
                gate: None,
                up: weights.linear(&format!("{name}.mlp.c_fc"), n_inner, n_hidden, true)?,
                down: weights.linear(&format!("{name}.mlp.c_proj"), n_hidden, n_inner, true)?,
                activation: Activation::Gelu,
            };
            let mut norm = |part: &str| weights.layer_norm(&format!("{name}.{part}"), n_hidden, eps);
            Ok(Block::new(
                Residual::after_norm(norm("input_layernorm")?, Mixer::Attention(attention)),
                Residual::after_norm(norm("post_attention_layernorm")?, FeedForward::Mlp(mlp)),
            ))
        })
        .collect::<Result<_, LoadError>>()?;
    let norm = weights.layer_norm("model.norm", n_hidden, eps)?;
    layout::network_with(weights, &dimensions, blocks, norm)
}
