//! `qwen2`: Qwen2 and Qwen2.5, Qwen2.5-Coder among them: biases on q, k and v only.
//!
//! Defaults as in mlx_lm's `models/qwen2.py`.

use std::rc::Rc;

use runabout_kernels::Activation;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Rope, RopeDefaults};
use crate::weights::Weights;

const DEFAULT_CONTEXT: usize = 32_768;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 1_000_000.0, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let bias = AttentionBias { qkv: true, o: false };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention =
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, Some(&rope))?;
            let mlp = layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Mlp(mlp))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}
