//! `deepseek_v2`: DeepSeek-V2 and DeepSeek-Coder-V2: attention to latents, experts in groups.
//!
//! Defaults as in mlx_lm's `models/deepseek_v2.py`.

use std::rc::Rc;

use mlx_rs::ops::indexing::TryIndexOp;
use runabout_kernels::{Activation, Gating};
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout;
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Experts, LatentAttention, Rope, RopeDefaults, Routing, Scoring};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    attention_bias: bool,
    kv_lora_rank: i32,
    q_lora_rank: Option<i32>,
    qk_rope_head_dim: i32,
    qk_nope_head_dim: i32,
    v_head_dim: i32,
    n_routed_experts: Option<i32>,
    n_shared_experts: Option<i32>,
    num_experts_per_tok: Option<usize>,
    moe_intermediate_size: Option<i32>,
    /// Layers whose number is a multiple of this have experts.
    moe_layer_freq: Option<usize>,
    #[serde(default)]
    first_k_dense_replace: usize,
    routed_scaling_factor: Option<f32>,
    topk_method: Option<String>,
    scoring_func: Option<String>,
    #[serde(default)]
    norm_topk_prob: bool,
    n_group: Option<usize>,
    topk_group: Option<usize>,
}

#[derive(Deserialize)]
struct Yarn {
    factor: Option<f32>,
    mscale_all_dim: Option<f32>,
}

const DEFAULT_CONTEXT: usize = 2048;
const DEFAULT_Q_RANK: i32 = 1536;
/// Of the norms inside attention.
const INNER_EPS: f32 = 1e-6;
const ROPE: RopeDefaults<'_> = RopeDefaults { is_traditional: true, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let mut dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    dimensions.is_tied = Some(false);
    fields.check(file)?;
    let sparse_step = fields.moe_layer_freq.unwrap_or(1);
    file.positive("moe_layer_freq", i32::try_from(sparse_step).unwrap_or(i32::MAX))?;
    let rope = Rc::new(Rope::read(file, fields.qk_rope_head_dim, &ROPE)?);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention = attention(file, weights, &name, &dimensions, &fields, &rope)?;
            let is_sparse = i >= fields.first_k_dense_replace && i.is_multiple_of(sparse_step);
            let feed_forward = match fields.n_routed_experts {
                Some(n) if is_sparse => FeedForward::Experts(experts(
                    file,
                    weights,
                    &format!("{name}.mlp"),
                    &dimensions,
                    &fields,
                    n,
                )?),
                _ => {
                    FeedForward::Mlp(layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?)
                }
            };
            let mut norm = |part: &str| {
                weights.norm(&format!("{name}.{part}"), dimensions.n_hidden, dimensions.norm_eps)
            };
            Ok(Block::new(
                Residual::after_norm(norm("input_layernorm")?, Mixer::Latent(attention)),
                Residual::after_norm(norm("post_attention_layernorm")?, feed_forward),
            ))
        })
        .collect::<Result<_, LoadError>>()?;
    layout::network(weights, &dimensions, blocks)
}

impl Fields {
    fn check(&self, file: &ModelConfig) -> Result<(), LoadError> {
        for (field, value) in [
            ("kv_lora_rank", self.kv_lora_rank),
            ("q_lora_rank", self.q_lora_rank.unwrap_or(1)),
            ("qk_rope_head_dim", self.qk_rope_head_dim),
            ("qk_nope_head_dim", self.qk_nope_head_dim),
            ("v_head_dim", self.v_head_dim),
        ] {
            file.positive(field, value)?;
        }
        if let Some(other) = self.scoring_func.as_deref().filter(|it| *it != "softmax") {
            return Err(
                file.unsupported(format!("`scoring_func` `{other}` is not supported, expected `softmax`"))
            );
        }
        if self.norm_topk_prob {
            return Err(file.unsupported("`norm_topk_prob` true is not supported, expected false"));
        }
        Ok(())
    }

    /// Query and key of a head have a part that depends on positions and one that does not.
    fn key_dim(&self, file: &ModelConfig) -> Result<i32, LoadError> {
        let sum = self.qk_nope_head_dim.checked_add(self.qk_rope_head_dim);
        sum.ok_or_else(|| file.impossible("qk_nope_head_dim", "less", self.qk_nope_head_dim))
    }
}

fn attention(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    fields: &Fields,
    rope: &Rc<Rope>,
) -> Result<LatentAttention, LoadError> {
    let (n_hidden, n_heads) = (dimensions.n_hidden, dimensions.heads.n_heads);
    let (rank, value_dim, nope_dim) = (fields.kv_lora_rank, fields.v_head_dim, fields.qk_nope_head_dim);
    let key_dim = fields.key_dim(file)?;
    let of_heads = |field: &str, n: i32| {
        let expected = format!("less, with {n_heads} heads");
        n_heads.checked_mul(n).ok_or_else(|| file.impossible(field, &expected, n))
    };
    let too_great = |field: &str, n: i32| file.impossible(field, "less", n);
    let n_queries = of_heads("qk_nope_head_dim", key_dim)?;
    let n_values = of_heads("v_head_dim", value_dim)?;
    let n_up = nope_dim.checked_add(value_dim).ok_or_else(|| too_great("v_head_dim", value_dim))?;
    let n_up_all = of_heads("v_head_dim", n_up)?;
    let n_down = rank.checked_add(fields.qk_rope_head_dim).ok_or_else(|| too_great("kv_lora_rank", rank))?;
    let name = format!("{layer}.self_attn");
    let bias = fields.attention_bias;
    // Null means that there is no such matrix, and absent that it has the default size.
    let (q_down, q_proj) = if weights.has(&format!("{name}.q_a_proj.weight")) {
        let rank = fields.q_lora_rank.unwrap_or(DEFAULT_Q_RANK);
        let down = weights.linear(&format!("{name}.q_a_proj"), rank, n_hidden, bias)?;
        let norm = weights.norm(&format!("{name}.q_a_layernorm"), rank, INNER_EPS)?;
        (Some((down, norm)), weights.linear(&format!("{name}.q_b_proj"), n_queries, rank, false)?)
    } else {
        (None, weights.linear(&format!("{name}.q_proj"), n_queries, n_hidden, false)?)
    };
    let up = weights.dense(&format!("{name}.kv_b_proj"), n_up_all, rank)?;
    let up = up.reshape(&[n_heads, n_up, rank])?;
    let part = |range: std::ops::Range<i32>| up.try_index((.., range, ..))?.contiguous();
    let magnitude = score_magnitude(file)?;
    Ok(LatentAttention {
        q_down,
        q_proj,
        kv_down: weights.linear(&format!("{name}.kv_a_proj_with_mqa"), n_down, n_hidden, bias)?,
        latent_norm: weights.norm(&format!("{name}.kv_a_layernorm"), rank, INNER_EPS)?,
        key_up: part(0..nope_dim)?,
        value_up: part(nope_dim..n_up)?,
        o_proj: weights.linear(&format!("{name}.o_proj"), n_hidden, n_values, bias)?,
        rope: Rc::clone(rope),
        scale: (key_dim as f32).powf(-0.5) * magnitude * magnitude,
    })
}

/// With yarn, scores are multiplied by the square of this, beside what [`Rope`] does to queries and keys.
fn score_magnitude(file: &ModelConfig) -> Result<f32, LoadError> {
    let field = if file.get("rope_scaling").is_some() { "rope_scaling" } else { "rope_parameters" };
    let Some(object) = file.get(field) else { return Ok(1.0) };
    let Yarn { factor, mscale_all_dim } = file.fields_of(object, field)?;
    Ok(match (factor, mscale_all_dim) {
        (Some(factor), Some(scale)) if factor > 1.0 => {
            file.finite(&format!("{field}.mscale_all_dim"), 0.1 * scale * factor.ln() + 1.0)?
        }
        _ => 1.0,
    })
}

fn experts(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    fields: &Fields,
    n: i32,
) -> Result<Experts, LoadError> {
    let n_used = fields.num_experts_per_tok.unwrap_or(0);
    layout::check_experts(file, ("n_routed_experts", n), n_used)?;
    let (n_hidden, n_inner) = (dimensions.n_hidden, fields.moe_intermediate_size.unwrap_or(0));
    file.positive("moe_intermediate_size", n_inner)?;
    let [gate, up, down] = layout::expert_stacks(
        weights,
        &format!("{name}.switch_mlp"),
        Some(&format!("{name}.experts")),
        [n, n_inner, n_hidden],
        false,
    )?;
    let is_grouped = fields.topk_method.as_deref() == Some("group_limited_greedy");
    let n_groups = [fields.n_group, fields.topk_group].map(|it| it.filter(|_| is_grouped));
    Ok(Experts {
        shared: layout::shared_experts(file, weights, name, [n_hidden, n_inner], fields.n_shared_experts)?,
        router: weights.linear(&format!("{name}.gate"), n, n_hidden, false)?,
        routing: Routing {
            groups: layout::expert_groups(file, n, n_used, n_groups, 1)?,
            scale: fields.routed_scaling_factor.unwrap_or(1.0),
            ..Routing::plain(n_used, Scoring::Softmax { is_normalized: false })
        },
        gate,
        up,
        down,
        gating: Gating::Activation(Activation::Silu),
    })
}
