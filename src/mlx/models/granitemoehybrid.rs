//! `granitemoehybrid`: Granite 4: Mamba 2 beside attention, with experts or without.
//!
//! Defaults as in mlx_lm's `models/granitemoehybrid.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::granite::Multipliers;
use super::granitemoe::ExpertFields;
use super::layout;
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Convolution, Mamba2, MambaShape, Mlp, Rope, RopeDefaults, Shared};
use crate::weights::{Linear, Weights};

#[derive(Deserialize)]
struct Fields {
    layer_types: Vec<String>,
    num_local_experts: Option<i32>,
    shared_intermediate_size: Option<i32>,
    #[serde(default)]
    mlp_bias: bool,
    position_embedding_type: Option<String>,
    mamba_n_heads: Option<i32>,
    mamba_d_head: Option<i32>,
    mamba_d_state: Option<i32>,
    mamba_d_conv: Option<i32>,
    mamba_n_groups: Option<i32>,
    #[serde(default)]
    mamba_proj_bias: bool,
    #[serde(default)]
    mamba_conv_bias: bool,
    time_step_limit: Option<[f32; 2]>,
}

const DEFAULT_CONTEXT: usize = 131_072;
const DEFAULT_STEP_LIMITS: [f32; 2] = [0.001, 100.0];

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let multipliers = Multipliers::read(file)?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let n_layers = dimensions.n_layers;
    if fields.layer_types.len() != n_layers {
        let expected = format!("one type for each of {n_layers} layers");
        return Err(file.impossible("layer_types", &expected, fields.layer_types.len()));
    }
    let has_positions = fields.position_embedding_type.as_deref() != Some("nope");
    let rope = || Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE).map(Rc::new);
    let rope = has_positions.then(rope).transpose()?;
    let has_experts = fields.num_local_experts.is_some_and(|it| it > 0);
    let experts = has_experts.then(|| ExpertFields::read(file)).transpose()?;
    let blocks = fields
        .layer_types
        .iter()
        .enumerate()
        .map(|(i, layer_type)| {
            let name = layout::layer(i);
            let mixer = match layer_type.as_str() {
                "attention" => {
                    Mixer::Attention(multipliers.attention(weights, &name, &dimensions, rope.as_ref())?)
                }
                "mamba" => Mixer::Mamba2(mamba(file, weights, &name, &dimensions, &fields)?),
                other => return Err(file.unsupported(format!("layers of type `{other}` are not supported"))),
            };
            let feed_forward = match &experts {
                Some(experts) => {
                    let mut experts = experts.take(weights, &name, &dimensions)?;
                    experts.shared = shared(file, weights, &name, &dimensions, &fields)?;
                    FeedForward::Experts(experts)
                }
                None => FeedForward::Mlp(mlp(weights, &name, &dimensions, &fields)?),
            };
            let mut norm = |part: &str| {
                weights.norm(&format!("{name}.{part}"), dimensions.n_hidden, dimensions.norm_eps)
            };
            Ok(multipliers.block(Block::new(
                Residual::after_norm(norm("input_layernorm")?, mixer),
                Residual::after_norm(norm("post_attention_layernorm")?, feed_forward),
            )))
        })
        .collect::<Result<_, LoadError>>()?;
    Ok(multipliers.network(layout::network(weights, &dimensions, blocks)?))
}

fn mamba(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<Mamba2, LoadError> {
    let n_hidden = dimensions.n_hidden;
    let (shape, n_kernel) = fields.mamba_shape(file)?;
    let (n_inner, n_channels, n_heads) = (shape.n_inner(), shape.n_channels(), shape.n_heads);
    let step_limits = fields.time_step_limit.unwrap_or(DEFAULT_STEP_LIMITS);
    if !(step_limits[0] >= 0.0 && step_limits[0] <= step_limits[1]) {
        let [least, greatest] = step_limits;
        return Err(file.impossible(
            "time_step_limit",
            "two ascending numbers",
            format!("{least}, {greatest}"),
        ));
    }
    let name = format!("{layer}.mamba");
    let bias = fields.mamba_proj_bias;
    let conv = format!("{name}.conv1d");
    let conv_bias = fields.mamba_conv_bias.then(|| weights.vector(&format!("{conv}.bias"), n_channels));
    Ok(Mamba2 {
        in_proj: weights.linear(
            &format!("{name}.in_proj"),
            n_inner + n_channels + n_heads,
            n_hidden,
            bias,
        )?,
        convolution: Convolution {
            weight: layout::depthwise(weights, &format!("{conv}.weight"), n_channels, n_kernel)?,
            bias: conv_bias.transpose()?,
        },
        a_log: weights.vector(&format!("{name}.A_log"), n_heads)?,
        d: weights.vector(&format!("{name}.D"), n_heads)?,
        dt_bias: weights.vector(&format!("{name}.dt_bias"), n_heads)?,
        norm: weights.norm(&format!("{name}.norm"), n_inner, dimensions.norm_eps)?,
        out_proj: weights.linear(&format!("{name}.out_proj"), n_hidden, n_inner, bias)?,
        shape,
        step_limits,
    })
}

impl Fields {
    /// The shape of a Mamba layer's heads, and the length of its convolution.
    fn mamba_shape(&self, file: &ModelConfig) -> Result<(MambaShape, i32), LoadError> {
        let positive = |field: &str, value: Option<i32>| {
            let value = value.unwrap_or(0);
            file.positive(field, value)?;
            Ok::<_, LoadError>(value)
        };
        let shape = MambaShape {
            n_heads: positive("mamba_n_heads", self.mamba_n_heads)?,
            head_dim: positive("mamba_d_head", self.mamba_d_head)?,
            n_groups: positive("mamba_n_groups", self.mamba_n_groups)?,
            state_dim: positive("mamba_d_state", self.mamba_d_state)?,
        };
        let MambaShape { n_heads, head_dim, n_groups, state_dim } = shape;
        if n_heads % n_groups != 0 {
            let expected = format!("a divisor of `mamba_n_heads`, {n_heads}");
            return Err(file.impossible("mamba_n_groups", &expected, n_groups));
        }
        let n_all = [n_heads, head_dim, n_groups, state_dim].map(i64::from);
        let n_projected = 2 * n_all[0] * n_all[1] + 2 * n_all[2] * n_all[3] + n_all[0];
        if i32::try_from(n_projected).is_err() {
            return Err(file.impossible("mamba_d_head", "less", head_dim));
        }
        Ok((shape, positive("mamba_d_conv", self.mamba_d_conv)?))
    }
}

/// The feed-forward network of a model without experts.
fn mlp(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<Mlp, LoadError> {
    // In the original checkpoint it has the names of the network beside the experts.
    let original = format!("{layer}.shared_mlp");
    if weights.has(&format!("{original}.input_linear.weight")) {
        return joined(weights, &original, [dimensions.n_hidden, dimensions.n_inner]);
    }
    layout::gated_mlp(weights, layer, dimensions, fields.mlp_bias, Activation::Silu)
}

/// The network beside the experts.
fn shared(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<Option<Shared>, LoadError> {
    let n_inner = fields.shared_intermediate_size.unwrap_or(0);
    file.positive("shared_intermediate_size", n_inner)?;
    if n_inner.checked_mul(2).is_none() {
        return Err(file.impossible("shared_intermediate_size", "less", n_inner));
    }
    let mlp = joined(weights, &format!("{layer}.shared_mlp"), [dimensions.n_hidden, n_inner])?;
    Ok(Some(Shared { mlp, gate: None }))
}

/// A network whose gate and up are one matrix.
fn joined(weights: &mut Weights<'_>, name: &str, [n_hidden, n_inner]: [i32; 2]) -> Result<Mlp, LoadError> {
    let gate_up: Linear = weights.linear(&format!("{name}.input_linear"), 2 * n_inner, n_hidden, false)?;
    Ok(Mlp {
        gate: Some(gate_up.outputs(0..n_inner)?),
        up: gate_up.outputs(n_inner..2 * n_inner)?,
        down: weights.linear(&format!("{name}.output_linear"), n_hidden, n_inner, false)?,
        activation: Activation::Silu,
    })
}
