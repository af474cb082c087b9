//! `phi3`: Phi-3, Phi-3.5 and Phi-4: a llama whose q, k and v are one matrix, and so are gate and up.
//!
//! Defaults as in mlx_lm's `models/phi3.py`.

use std::rc::Rc;

use runabout_kernels::Activation;

use super::dimensions::Dimensions;
use super::layout;
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Rope, RopeDefaults};
use crate::weights::Weights;

const DEFAULT_CONTEXT: usize = 131_072;
const ROPE: RopeDefaults<'_> = RopeDefaults { rotated_part: Some(1.0), ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let heads = dimensions.heads;
    let (n_query, n_key) = (heads.n_query(), heads.n_key());
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attn = format!("{name}.self_attn");
            let qkv = weights.linear(
                &format!("{attn}.qkv_proj"),
                n_query + 2 * n_key,
                dimensions.n_hidden,
                false,
            )?;
            let qkv = [
                qkv.outputs(0..n_query)?,
                qkv.outputs(n_query..n_query + n_key)?,
                qkv.outputs(n_query + n_key..n_query + 2 * n_key)?,
            ];
            let o_proj = weights.linear(&format!("{attn}.o_proj"), dimensions.n_hidden, n_query, false)?;
            let attention = layout::attention_of(qkv, o_proj, heads, Some(&rope));
            let mlp = layout::joined_mlp(weights, &name, &dimensions, Activation::Silu)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Mlp(mlp))
        })
        .collect::<Result<_, LoadError>>()?;
    layout::network(weights, &dimensions, blocks)
}
