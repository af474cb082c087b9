//! `lfm2`: Liquid's LFM2: gated convolutions, and attention in some layers.
//!
//! Defaults as in mlx_lm's `models/lfm2.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout;
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Convolution, Mlp, Rope, RopeDefaults, ShortConv};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    conv_bias: bool,
    #[serde(rename = "conv_L_cache")]
    conv_l_cache: i32,
    block_multiple_of: Option<i32>,
    block_ffn_dim_multiplier: Option<f32>,
    #[serde(default)]
    block_auto_adjust_ff_dim: bool,
    full_attn_idxs: Option<Vec<usize>>,
    layer_types: Option<Vec<String>>,
}

const DEFAULT_CONTEXT: usize = 128_000;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 1_000_000.0, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    dimensions.is_tied = Some(true);
    file.positive("conv_L_cache", fields.conv_l_cache)?;
    let n_inner = fields.n_inner(file, dimensions.n_inner)?;
    let has_attention = |i: usize| match (&fields.full_attn_idxs, &fields.layer_types) {
        (Some(idxs), _) => idxs.contains(&i),
        (None, Some(types)) => types.get(i).is_some_and(|it| it == "full_attention"),
        (None, None) => false,
    };
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let (n_hidden, heads, eps) = (dimensions.n_hidden, dimensions.heads, dimensions.norm_eps);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let mixer = if has_attention(i) {
                let name = format!("{name}.self_attn");
                let mut linear =
                    |part: &str, n_out, n_in| weights.linear(&format!("{name}.{part}"), n_out, n_in, false);
                let qkv = [
                    linear("q_proj", heads.n_query(), n_hidden)?,
                    linear("k_proj", heads.n_key(), n_hidden)?,
                    linear("v_proj", heads.n_key(), n_hidden)?,
                ];
                let o_proj = linear("out_proj", n_hidden, heads.n_query())?;
                let attention = layout::attention_of(qkv, o_proj, heads, Some(&rope));
                let mut norm = |part: &str| weights.norm(&format!("{name}.{part}"), heads.head_dim, eps);
                let (q_norm, k_norm) = (Some(norm("q_layernorm")?), Some(norm("k_layernorm")?));
                Mixer::Attention(Attention { q_norm, k_norm, ..attention })
            } else {
                Mixer::ShortConv(short_conv(weights, &format!("{name}.conv"), n_hidden, &fields)?)
            };
            let mlp = format!("{name}.feed_forward");
            let mut linear =
                |part: &str, n_out, n_in| weights.linear(&format!("{mlp}.{part}"), n_out, n_in, false);
            let mlp = Mlp {
                gate: Some(linear("w1", n_inner, n_hidden)?),
                up: linear("w3", n_inner, n_hidden)?,
                down: linear("w2", n_hidden, n_inner)?,
                activation: Activation::Silu,
            };
            let mut norm = |part: &str| weights.norm(&format!("{name}.{part}"), n_hidden, eps);
            Ok(Block::new(
                Residual::after_norm(norm("operator_norm")?, mixer),
                Residual::after_norm(norm("ffn_norm")?, FeedForward::Mlp(mlp)),
            ))
        })
        .collect::<Result<_, LoadError>>()?;
    let norm = weights.norm("model.embedding_norm", n_hidden, eps)?;
    layout::network_with(weights, &dimensions, blocks, norm)
}

impl Fields {
    /// The size of the feed-forward network, for what config.json calls its size.
    #[expect(clippy::cast_possible_truncation, reason = "rounded down, as mlx_lm does")]
    fn n_inner(&self, file: &ModelConfig, given: i32) -> Result<i32, LoadError> {
        if !self.block_auto_adjust_ff_dim {
            return Ok(given);
        }
        let n = i64::from(given) * 2 / 3;
        let n = self.block_ffn_dim_multiplier.map_or(n, |it| (f64::from(it) * n as f64) as i64);
        let multiple = self.block_multiple_of.unwrap_or(256);
        file.positive("block_multiple_of", multiple)?;
        let multiple = i64::from(multiple);
        let n = (n.max(1) + multiple - 1) / multiple * multiple;
        i32::try_from(n).map_err(|_| file.impossible("block_ff_dim", "less", given))
    }
}

fn short_conv(
    weights: &mut Weights<'_>,
    name: &str,
    n_hidden: i32,
    fields: &Fields,
) -> Result<ShortConv, LoadError> {
    let (n_kernel, has_bias) = (fields.conv_l_cache, fields.conv_bias);
    let n_projected = n_hidden.saturating_mul(3);
    Ok(ShortConv {
        in_proj: weights.linear(&format!("{name}.in_proj"), n_projected, n_hidden, has_bias)?,
        convolution: Convolution {
            weight: layout::depthwise(weights, &format!("{name}.conv.weight"), n_hidden, n_kernel)?,
            bias: has_bias.then(|| weights.vector(&format!("{name}.conv.bias"), n_hidden)).transpose()?,
        },
        out_proj: weights.linear(&format!("{name}.out_proj"), n_hidden, n_hidden, has_bias)?,
    })
}
