//! `llama`: Llama, SmolLM, Mistral and the many models that share their layout.
//!
//! Defaults as in mlx_lm's `models/llama.py`.

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
    mlp_bias: bool,
    sliding_window: Option<usize>,
    layer_types: Option<Vec<String>>,
}

const DEFAULT_CONTEXT: usize = 2048;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 10_000.0, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    if fields.layer_types.iter().flatten().any(|it| it != "full_attention") {
        return Err(file.unsupported("sliding-window attention is not supported"));
    }
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    // Within its window, a model with sliding-window attention has full attention.
    if let Some(window) = fields.sliding_window.filter(|it| *it > 0) {
        dimensions.context_length = dimensions.context_length.min(window);
    }
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: fields.attention_bias };
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
