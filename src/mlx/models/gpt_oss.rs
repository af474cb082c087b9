//! `gpt_oss`: OpenAI's open models: experts with biases and clamped gates, attention sinks, windows in every other layer.
//!
//! Defaults as in mlx_lm's `models/gpt_oss.py`.

use std::rc::Rc;

use mlx_rs::Array;
use runabout_kernels::Gating;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Experts, Rope, RopeDefaults, Routing, Scoring};
use crate::weights::{Stack, Weights};

#[derive(Deserialize)]
struct Fields {
    num_local_experts: i32,
    num_experts_per_tok: usize,
    sliding_window: Option<usize>,
    layer_types: Option<Vec<String>>,
}

const DEFAULT_CONTEXT: usize = 131_072;
const DEFAULT_WINDOW: usize = 128;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 150_000.0, ..RopeDefaults::DENSE };
const GATING: Gating = Gating::Clamped { limit: 7.0, slope: 1.702 };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    dimensions.is_tied = Some(false);
    layout::check_experts(file, ("num_local_experts", fields.num_local_experts), fields.num_experts_per_tok)?;
    let window = fields.sliding_window.unwrap_or(DEFAULT_WINDOW);
    file.positive("sliding_window", i32::try_from(window).unwrap_or(i32::MAX))?;
    let is_sliding = layout::sliding_layers(file, fields.layer_types.as_deref(), dimensions.n_layers, |i| {
        i.is_multiple_of(2)
    })?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let bias = AttentionBias { qkv: true, o: true };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attn = format!("{name}.self_attn");
            let attention = layout::attention(weights, &attn, &dimensions, bias, Some(&rope))?;
            let sinks = Some(weights.vector(&format!("{attn}.sinks"), dimensions.heads.n_heads)?);
            let attention = Attention { sinks, window: is_sliding[i].then_some(window), ..attention };
            let experts = experts(file, weights, &format!("{name}.mlp"), &dimensions, &fields)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Experts(experts))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}

fn experts(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<Experts, LoadError> {
    let (n, n_hidden) = (fields.num_local_experts, dimensions.n_hidden);
    let stacks = format!("{name}.experts");
    let n_inner = dimensions.n_inner;
    let [gate, up, down] = if weights.has(&format!("{stacks}.gate_up_proj_blocks")) {
        original(file, weights, &stacks, [n, n_inner, n_hidden])?
    } else {
        layout::expert_stacks(weights, &stacks, None, [n, n_inner, n_hidden], true)?
    };
    Ok(Experts {
        router: weights.linear(&format!("{name}.router"), n, n_hidden, true)?,
        routing: Routing::plain(fields.num_experts_per_tok, Scoring::SoftmaxOfUsed),
        gate,
        up,
        down,
        gating: GATING,
        shared: None,
    })
}

/// The experts of OpenAI's own checkpoint, where rows of gate and up take turns.
fn original(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    name: &str,
    [n, n_inner, n_hidden]: [i32; 3],
) -> Result<[Stack; 3], LoadError> {
    let joined = format!("{name}.gate_up_proj");
    let n_joined = n_inner.checked_mul(2);
    let n_joined = n_joined.ok_or_else(|| file.impossible("intermediate_size", "less", n_inner))?;
    let gate_up = weights.mxfp4_blocks(&joined, [n, n_joined, n_hidden], &format!("{joined}_bias"))?;
    let every_other = |first: i32| Array::arange::<_, i32>(first, n_joined, 2);
    let down = format!("{name}.down_proj");
    Ok([
        gate_up.select(&every_other(0)?)?,
        gate_up.select(&every_other(1)?)?,
        weights.mxfp4_blocks(&down, [n, n_hidden, n_inner], &format!("{down}_bias"))?,
    ])
}
