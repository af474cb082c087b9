//! `qwen3_next`: Qwen3-Next and Qwen3-Coder-Next: gated delta nets, and gated attention in every fourth layer.
//!
//! Defaults as in mlx_lm's `models/qwen3_next.py`.

use std::rc::Rc;

use mlx_rs::Array;
use runabout_kernels::{Activation, DeltaShape};
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout;
use super::qwen3_moe::ExpertFields;
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Convolution, GatedDelta, Norm, Rope, RopeDefaults, Shared};
use crate::weights::{Linear, Recurrence, Weights};

#[derive(Deserialize)]
pub(super) struct Fields {
    linear_num_value_heads: i32,
    linear_num_key_heads: i32,
    linear_key_head_dim: i32,
    linear_value_head_dim: i32,
    linear_conv_kernel_dim: i32,
    #[serde(default)]
    attention_bias: bool,
    full_attention_interval: Option<usize>,
    shared_expert_intermediate_size: Option<i32>,
    #[serde(default)]
    mlp_only_layers: Vec<usize>,
    decoder_sparse_step: Option<usize>,
    num_experts: Option<i32>,
}

const DEFAULT_CONTEXT: usize = 262_144;
/// One layer of so many has attention, the last of them.
const DEFAULT_INTERVAL: usize = 4;
const ROPE: RopeDefaults<'_> =
    RopeDefaults { base: 10_000_000.0, rotated_part: Some(0.25), ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    network_with(file, weights, &ROPE, |weights, name, shape, n_hidden| {
        // One matrix has queries, keys, values and gates of each key head, one after the other, and one has b and a.
        let DeltaShape { n_key_heads, n_value_heads, key_dim, value_dim } = shape;
        let n_shared = n_value_heads / n_key_heads;
        let (n_values, n_all) = (n_shared * value_dim, 2 * key_dim + 2 * n_shared * value_dim);
        let qkvz =
            weights.linear(&format!("{name}.in_proj_qkvz"), to_i32(n_key_heads * n_all), n_hidden, false)?;
        let ba = weights.linear(&format!("{name}.in_proj_ba"), to_i32(2 * n_value_heads), n_hidden, false)?;
        let of_heads = |n_all: usize, first: usize, n: usize| {
            (0..n_key_heads).flat_map(move |head| (0..n).map(move |i| to_i32(head * n_all + first + i)))
        };
        let qkv = of_heads(n_all, 0, key_dim).chain(of_heads(n_all, key_dim, key_dim)).chain(of_heads(
            n_all,
            2 * key_dim,
            n_values,
        ));
        Ok([
            qkvz.select(&indices(qkv))?,
            qkvz.select(&indices(of_heads(n_all, 2 * key_dim + n_values, n_values)))?,
            ba.select(&indices(of_heads(2 * n_shared, 0, n_shared)))?,
            ba.select(&indices(of_heads(2 * n_shared, n_shared, n_shared)))?,
        ])
    })
}

/// A network whose gated delta nets have the projections to qkv, z, b and a that `projections` takes.
pub(super) fn network_with(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    rope: &RopeDefaults<'_>,
    projections: impl Fn(&mut Weights<'_>, &str, DeltaShape, i32) -> Result<[Linear; 4], LoadError>,
) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let shape = fields.shape(file)?;
    let interval = fields.full_attention_interval.unwrap_or(DEFAULT_INTERVAL);
    file.positive("full_attention_interval", i32::try_from(interval).unwrap_or(i32::MAX))?;
    let sparse_step = fields.decoder_sparse_step.unwrap_or(1);
    file.positive("decoder_sparse_step", i32::try_from(sparse_step).unwrap_or(i32::MAX))?;
    let has_experts = fields.num_experts.is_some_and(|it| it > 0);
    let experts = has_experts.then(|| ExpertFields::read(file)).transpose()?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, rope)?);
    // mlx_lm's conversions have turned the convolution, and added the 1 that norms leave out.
    let is_original = weights
        .shape("model.layers.0.linear_attn.conv1d.weight")
        .is_some_and(|it| it.last().is_some_and(|it| *it != 1));
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let norm = |weights: &mut Weights<'_>, part: &str, n: i32| {
                let name = format!("{name}.{part}");
                if is_original {
                    weights.norm_around_1(&name, n, dimensions.norm_eps)
                } else {
                    weights.norm(&name, n, dimensions.norm_eps)
                }
            };
            let mixer = if (i + 1).is_multiple_of(interval) {
                let [q_norm, k_norm] = ["self_attn.q_norm", "self_attn.k_norm"]
                    .map(|part| norm(weights, part, dimensions.heads.head_dim));
                let attention = attention(weights, &name, &dimensions, &fields, &rope)?;
                Mixer::Attention(Attention { q_norm: Some(q_norm?), k_norm: Some(k_norm?), ..attention })
            } else {
                let name = format!("{name}.linear_attn");
                let projections = projections(weights, &name, shape, dimensions.n_hidden)?;
                Mixer::GatedDelta(gated_delta(weights, &name, &dimensions, &fields, shape, projections)?)
            };
            let is_sparse = !fields.mlp_only_layers.contains(&i) && (i + 1).is_multiple_of(sparse_step);
            let feed_forward = match &experts {
                Some(experts) if is_sparse => {
                    let name = format!("{name}.mlp");
                    let mut taken = experts.take(weights, &name, dimensions.n_hidden)?;
                    taken.shared = shared(weights, &name, &dimensions, &fields)?;
                    FeedForward::Experts(taken)
                }
                _ => {
                    FeedForward::Mlp(layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?)
                }
            };
            let before_mixer: Norm = norm(weights, "input_layernorm", dimensions.n_hidden)?;
            let before = norm(weights, "post_attention_layernorm", dimensions.n_hidden)?;
            Ok(Block::new(
                Residual::after_norm(before_mixer, mixer),
                Residual::after_norm(before, feed_forward),
            ))
        })
        .collect::<Result<_, LoadError>>()?;
    let norm = if is_original {
        weights.norm_around_1("model.norm", dimensions.n_hidden, dimensions.norm_eps)?
    } else {
        weights.norm("model.norm", dimensions.n_hidden, dimensions.norm_eps)?
    };
    layout::network_with(weights, &dimensions, blocks, norm)
}

impl Fields {
    fn shape(&self, file: &ModelConfig) -> Result<DeltaShape, LoadError> {
        let positive = |field, value: i32| {
            file.positive(field, value)?;
            Ok::<_, LoadError>(value.unsigned_abs() as usize)
        };
        positive("linear_conv_kernel_dim", self.linear_conv_kernel_dim)?;
        let shape = DeltaShape {
            n_key_heads: positive("linear_num_key_heads", self.linear_num_key_heads)?,
            n_value_heads: positive("linear_num_value_heads", self.linear_num_value_heads)?,
            key_dim: positive("linear_key_head_dim", self.linear_key_head_dim)?,
            value_dim: positive("linear_value_head_dim", self.linear_value_head_dim)?,
        };
        if !shape.n_value_heads.is_multiple_of(shape.n_key_heads) {
            let expected = format!("a multiple of `linear_num_key_heads`, {}", shape.n_key_heads);
            return Err(file.impossible("linear_num_value_heads", &expected, shape.n_value_heads));
        }
        let n_channels = 2 * shape.n_key_heads * shape.key_dim + 2 * shape.n_value_heads * shape.value_dim;
        if i32::try_from(n_channels).is_err() {
            return Err(file.impossible("linear_key_head_dim", "less", shape.key_dim));
        }
        Ok(shape)
    }
}

/// Attention whose query projection has each head's gate beside its query.
fn attention(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    fields: &Fields,
    rope: &Rc<Rope>,
) -> Result<Attention, LoadError> {
    let Dimensions { n_hidden, heads, .. } = *dimensions;
    let bias = fields.attention_bias;
    let name = format!("{layer}.self_attn");
    let mut linear = |part: &str, n_out, n_in| weights.linear(&format!("{name}.{part}"), n_out, n_in, bias);
    let q_and_gate = linear("q_proj", 2 * heads.n_query(), n_hidden)?;
    let of_heads = |first: i32| {
        (0..heads.n_heads)
            .flat_map(move |head| (0..heads.head_dim).map(move |i| (2 * head + first) * heads.head_dim + i))
    };
    let qkv = [
        q_and_gate.select(&indices(of_heads(0)))?,
        linear("k_proj", heads.n_key(), n_hidden)?,
        linear("v_proj", heads.n_key(), n_hidden)?,
    ];
    let gate_proj = Some(q_and_gate.select(&indices(of_heads(1)))?);
    let o_proj = linear("o_proj", n_hidden, heads.n_query())?;
    Ok(Attention { gate_proj, ..layout::attention_of(qkv, o_proj, heads, Some(rope)) })
}

fn gated_delta(
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    fields: &Fields,
    shape: DeltaShape,
    [qkv_proj, z_proj, b_proj, a_proj]: [Linear; 4],
) -> Result<GatedDelta, LoadError> {
    let (n_values, n_heads) = (to_i32(shape.n_value_heads * shape.value_dim), to_i32(shape.n_value_heads));
    let n_channels = 2 * to_i32(shape.n_key_heads * shape.key_dim) + n_values;
    let n_kernel = fields.linear_conv_kernel_dim;
    Ok(GatedDelta {
        qkv_proj,
        z_proj,
        b_proj,
        a_proj,
        convolution: Convolution {
            weight: layout::depthwise(weights, &format!("{name}.conv1d.weight"), n_channels, n_kernel)?,
            bias: None,
        },
        a_log: weights.vector(&format!("{name}.A_log"), n_heads)?,
        dt_bias: weights.vector(&format!("{name}.dt_bias"), n_heads)?,
        norm: weights.norm(&format!("{name}.norm"), to_i32(shape.value_dim), dimensions.norm_eps)?,
        out_proj: weights.linear(&format!("{name}.out_proj"), dimensions.n_hidden, n_values, false)?,
        shape,
        recurrence: Recurrence::Mlx,
    })
}

fn shared(
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<Option<Shared>, LoadError> {
    let Some(n_inner) = fields.shared_expert_intermediate_size.filter(|it| *it > 0) else { return Ok(None) };
    let size = [dimensions.n_hidden, n_inner];
    let mlp = layout::gated_mlp_of(weights, &format!("{name}.shared_expert"), size, false, Activation::Silu)?;
    let gate = weights.linear(&format!("{name}.shared_expert_gate"), 1, dimensions.n_hidden, false)?;
    Ok(Some(Shared { mlp, gate: Some(gate) }))
}

fn indices(idx: impl Iterator<Item = i32>) -> Array {
    let idx: Vec<i32> = idx.collect();
    Array::from_slice(&idx, &[to_i32(idx.len())])
}

/// Dimensions have been checked to fit.
fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
