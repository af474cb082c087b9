//! `gemma2`: Gemma 2: norms before and after, soft caps on scores and logits.
//!
//! Defaults as in mlx_lm's `models/gemma2.py`, which attends to the whole context in every layer.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::{Block, FeedForward};
use crate::config::ModelConfig;
use crate::network::{Logits, Network};
use crate::parts::{Attention, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    attn_logit_softcapping: Option<f32>,
    final_logit_softcapping: Option<f32>,
    query_pre_attn_scalar: Option<f32>,
    sliding_window: Option<usize>,
}

const DEFAULT_CONTEXT: usize = 8192;
const DEFAULT_ATTENTION_SOFTCAP: f32 = 50.0;
const DEFAULT_LOGIT_SOFTCAP: f32 = 30.0;
const DEFAULT_QUERY_SCALAR: f32 = 144.0;

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    dimensions.is_tied = Some(true);
    // Within its window, a model with sliding-window attention has full attention.
    if let Some(window) = fields.sliding_window.filter(|it| *it > 0) {
        dimensions.context_length = dimensions.context_length.min(window);
    }
    let finite = |field, value: Option<f32>, default| file.finite(field, value.unwrap_or(default));
    let softcap = finite("attn_logit_softcapping", fields.attn_logit_softcapping, DEFAULT_ATTENTION_SOFTCAP)?;
    let logit_softcap =
        finite("final_logit_softcapping", fields.final_logit_softcapping, DEFAULT_LOGIT_SOFTCAP)?;
    let scalar = finite("query_pre_attn_scalar", fields.query_pre_attn_scalar, DEFAULT_QUERY_SCALAR)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attn = format!("{name}.self_attn");
            let attention =
                layout::attention(weights, &attn, &dimensions, AttentionBias::default(), Some(&rope))?;
            let attention = Attention { scale: scalar.sqrt().recip(), softcap: Some(softcap), ..attention };
            layer(weights, &name, &dimensions, attention)
        })
        .collect::<Result<_, _>>()?;
    let norm = weights.norm_around_1("model.norm", dimensions.n_hidden, dimensions.norm_eps)?;
    Ok(Network {
        embedding_scale: (dimensions.n_hidden as f32).sqrt(),
        logits: Logits { scale: 1.0, softcap: Some(logit_softcap) },
        ..layout::network_with(weights, &dimensions, blocks, norm)?
    })
}

/// A layer with norms before and after attention and the feed-forward network.
pub(super) fn layer(
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    attention: Attention,
) -> Result<Block, LoadError> {
    let mlp = layout::gated_mlp(weights, name, dimensions, false, Activation::GeluTanh)?;
    let mut norm = |part: &str| {
        weights.norm_around_1(&format!("{name}.{part}"), dimensions.n_hidden, dimensions.norm_eps)
    };
    Ok(layout::double_normed(
        attention,
        FeedForward::Mlp(mlp),
        [
            norm("input_layernorm")?,
            norm("post_attention_layernorm")?,
            norm("pre_feedforward_layernorm")?,
            norm("post_feedforward_layernorm")?,
        ],
    ))
}
