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
use crate::parts::{Experts, Rope, RopeDefaults, Routing, Scoring, Shared};
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
    n_group: Option<i32>,
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
    if let Some(n_groups) = fields.n_group.filter(|it| *it > 1) {
        return Err(file.unsupported(format!("`n_group` {n_groups} is not supported, expected 1")));
    }
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
    let shared = fields.n_shared_experts.filter(|it| *it > 0).map(|n_shared| {
        let n_inner = n_inner.checked_mul(n_shared);
        let n_inner = n_inner.ok_or_else(|| file.impossible("n_shared_experts", "less", n_shared))?;
        let size = [n_hidden, n_inner];
        let mlp =
            layout::gated_mlp_of(weights, &format!("{name}.shared_experts"), size, false, Activation::Silu)?;
        Ok::<_, LoadError>(Shared { mlp, gate: None })
    });
    Ok(Experts {
        shared: shared.transpose()?,
        router: weights.linear(&format!("{name}.gate"), n, n_hidden, false)?,
        routing: Routing {
            n_used: fields.num_experts_per_tok,
            scoring: Scoring::Sigmoid { is_normalized: fields.norm_topk_prob },
            choice_bias: Some(weights.vector(&format!("{name}.gate.e_score_correction_bias"), n)?),
            scale: fields.routed_scaling_factor.unwrap_or(1.0),
        },
        gate,
        up,
        down,
        gating: Gating::Activation(Activation::Silu),
    })
}
