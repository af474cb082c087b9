//! `glm4_moe`: GLM-4.5 and later: experts chosen by sigmoids, beside a network that every token uses.
//!
//! Defaults as in mlx_lm's `models/glm4_moe.py`.

use std::rc::Rc;

use runabout_kernels::{Activation, Gating};
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use super::qwen3;
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Experts, Rope, RopeDefaults, Routing, Scoring};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    use_qk_norm: bool,
    #[serde(default)]
    first_k_dense_replace: usize,
    n_routed_experts: i32,
    n_shared_experts: Option<i32>,
    num_experts_per_tok: usize,
    moe_intermediate_size: i32,
    #[serde(default)]
    norm_topk_prob: bool,
    routed_scaling_factor: Option<f32>,
    n_group: Option<usize>,
    topk_group: Option<usize>,
}

const DEFAULT_CONTEXT: usize = 131_072;
const ROPE: RopeDefaults<'_> =
    RopeDefaults { base: 1_000_000.0, rotated_part: Some(0.5), ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let n = fields.n_routed_experts;
    layout::check_experts(file, ("n_routed_experts", n), fields.num_experts_per_tok)?;
    file.positive("moe_intermediate_size", fields.moe_intermediate_size)?;
    // A layer that predicts one more token follows.
    weights.ignore(&format!("{}.", layout::layer(dimensions.n_layers)));
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: false };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention = if fields.use_qk_norm {
                qwen3::attention(weights, &name, &dimensions, bias, &rope)?
            } else {
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, Some(&rope))?
            };
            let feed_forward = if i < fields.first_k_dense_replace {
                FeedForward::Mlp(layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?)
            } else {
                FeedForward::Experts(experts(file, weights, &format!("{name}.mlp"), &dimensions, &fields)?)
            };
            layout::pre_normed(weights, &name, &dimensions, attention, feed_forward)
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
    let (n, n_hidden, n_inner) = (fields.n_routed_experts, dimensions.n_hidden, fields.moe_intermediate_size);
    let [gate, up, down] = layout::expert_stacks(
        weights,
        &format!("{name}.switch_mlp"),
        Some(&format!("{name}.experts")),
        [n, n_inner, n_hidden],
        false,
    )?;
    Ok(Experts {
        shared: layout::shared_experts(file, weights, name, [n_hidden, n_inner], fields.n_shared_experts)?,
        router: weights.linear(&format!("{name}.gate"), n, n_hidden, false)?,
        routing: Routing {
            n_used: fields.num_experts_per_tok,
            scoring: Scoring::Sigmoid { is_normalized: fields.norm_topk_prob },
            choice_bias: Some(weights.vector(&format!("{name}.gate.e_score_correction_bias"), n)?),
            groups: layout::expert_groups(
                file,
                n,
                fields.num_experts_per_tok,
                [fields.n_group, fields.topk_group],
                2,
            )?,
            scale: fields.routed_scaling_factor.unwrap_or(1.0),
            expert_scales: None,
        },
        gate,
        up,
        down,
        gating: Gating::Activation(Activation::Silu),
    })
}
