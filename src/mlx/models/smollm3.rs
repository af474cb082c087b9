//! `smollm3`: SmolLM3, a llama in which every fourth layer has no positions.
//!
//! Defaults as in mlx_lm's `models/smollm3.py`.

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
    /// For each layer 1 if it has positions, contrary to the name.
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
}

const DEFAULT_CONTEXT: usize = 2048;
const DEFAULT_INTERVAL: usize = 4;

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let interval = fields.no_rope_layer_interval.unwrap_or(DEFAULT_INTERVAL);
    file.positive("no_rope_layer_interval", i32::try_from(interval).unwrap_or(i32::MAX))?;
    if let Some(layers) = &fields.no_rope_layers
        && layers.len() != dimensions.n_layers
    {
        let expected = format!("one number for each of {} layers", dimensions.n_layers);
        return Err(file.impossible("no_rope_layers", &expected, layers.len()));
    }
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: fields.attention_bias };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let has_positions = match &fields.no_rope_layers {
                Some(layers) => layers[i] != 0,
                None => !(i + 1).is_multiple_of(interval),
            };
            let name = layout::layer(i);
            let rope = Some(&rope).filter(|_| has_positions);
            let attention =
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, rope)?;
            let mlp = layout::gated_mlp(weights, &name, &dimensions, fields.mlp_bias, Activation::Silu)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Mlp(mlp))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}
