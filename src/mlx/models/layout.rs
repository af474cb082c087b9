//! Parts under the names that most checkpoints have for them.

use std::rc::Rc;

use mlx_rs::Array;
use runabout_kernels::Activation;

use super::dimensions::Dimensions;
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::{Logits, Network};
use crate::parts::{Attention, Groups, Heads, KvSource, Mlp, Norm, Rope, Shared};
use crate::weights::{Linear, Stack, Weights};

/// Which linear layers of attention have a bias.
#[derive(Clone, Copy, Default)]
pub(super) struct AttentionBias {
    pub(super) qkv: bool,
    pub(super) o: bool,
}

/// `q_proj`, `k_proj`, `v_proj` and `o_proj`; everything else as in llama.
pub(super) fn attention(
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    bias: AttentionBias,
    rope: Option<&Rc<Rope>>,
) -> Result<Attention, LoadError> {
    let Dimensions { n_hidden, heads, .. } = *dimensions;
    let (n_query, n_key) = (heads.n_query(), heads.n_key());
    let qkv = [
        weights.linear(&format!("{name}.q_proj"), n_query, n_hidden, bias.qkv)?,
        weights.linear(&format!("{name}.k_proj"), n_key, n_hidden, bias.qkv)?,
        weights.linear(&format!("{name}.v_proj"), n_key, n_hidden, bias.qkv)?,
    ];
    let o_proj = weights.linear(&format!("{name}.o_proj"), n_hidden, n_query, bias.o)?;
    Ok(attention_of(qkv, o_proj, heads, rope))
}

/// Attention with these projections of queries, keys and values; everything else as in llama.
pub(super) fn attention_of(
    [q_proj, k_proj, v_proj]: [Linear; 3],
    o_proj: Linear,
    heads: Heads,
    rope: Option<&Rc<Rope>>,
) -> Attention {
    Attention {
        q_proj,
        source: KvSource::Own { k_proj, v_proj },
        o_proj,
        gate_proj: None,
        q_norm: None,
        k_norm: None,
        v_norm: None,
        heads,
        scale: heads.scale(),
        rope: rope.cloned(),
        window: None,
        sinks: None,
        softcap: None,
        position_scale: None,
    }
}

/// `gate_proj`, `up_proj` and `down_proj` of a layer's `mlp`.
pub(super) fn gated_mlp(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    has_bias: bool,
    activation: Activation,
) -> Result<Mlp, LoadError> {
    let Dimensions { n_hidden, n_inner, .. } = *dimensions;
    gated_mlp_of(weights, &format!("{layer}.mlp"), [n_hidden, n_inner], has_bias, activation)
}

/// The same of any network, by its name and size.
pub(super) fn gated_mlp_of(
    weights: &mut Weights<'_>,
    name: &str,
    [n_hidden, n_inner]: [i32; 2],
    has_bias: bool,
    activation: Activation,
) -> Result<Mlp, LoadError> {
    Ok(Mlp {
        gate: Some(weights.linear(&format!("{name}.gate_proj"), n_inner, n_hidden, has_bias)?),
        up: weights.linear(&format!("{name}.up_proj"), n_inner, n_hidden, has_bias)?,
        down: weights.linear(&format!("{name}.down_proj"), n_hidden, n_inner, has_bias)?,
        activation,
    })
}

/// `gate_up_proj`, which is one matrix, and `down_proj` of a layer's `mlp`.
pub(super) fn joined_mlp(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    activation: Activation,
) -> Result<Mlp, LoadError> {
    let Dimensions { n_hidden, n_inner, .. } = *dimensions;
    let gate_up = weights.linear(&format!("{layer}.mlp.gate_up_proj"), 2 * n_inner, n_hidden, false)?;
    Ok(Mlp {
        gate: Some(gate_up.outputs(0..n_inner)?),
        up: gate_up.outputs(n_inner..2 * n_inner)?,
        down: weights.linear(&format!("{layer}.mlp.down_proj"), n_hidden, n_inner, false)?,
        activation,
    })
}

/// The experts' `gate_proj`, `up_proj` and `down_proj`, stacked under `name` or apart under `apart`.
pub(super) fn expert_stacks(
    weights: &mut Weights<'_>,
    name: &str,
    apart: Option<&str>,
    [n, n_inner, n_hidden]: [i32; 3],
    has_bias: bool,
) -> Result<[Stack; 3], LoadError> {
    let mut stack = |part: &str, n_out, n_in| {
        let each = |i: usize| apart.map(|it| format!("{it}.{i}.{part}"));
        weights.stack(&format!("{name}.{part}"), each, [n, n_out, n_in], has_bias)
    };
    Ok([
        stack("gate_proj", n_inner, n_hidden)?,
        stack("up_proj", n_inner, n_hidden)?,
        stack("down_proj", n_hidden, n_inner)?,
    ])
}

/// `shared_experts` of a network of experts: one network as large as `n_shared` experts.
pub(super) fn shared_experts(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    name: &str,
    [n_hidden, n_inner]: [i32; 2],
    n_shared: Option<i32>,
) -> Result<Option<Shared>, LoadError> {
    let Some(n_shared) = n_shared.filter(|it| *it > 0) else { return Ok(None) };
    let n_inner = n_inner.checked_mul(n_shared);
    let n_inner = n_inner.ok_or_else(|| file.impossible("n_shared_experts", "less", n_shared))?;
    let name = format!("{name}.shared_experts");
    let mlp = gated_mlp_of(weights, &name, [n_hidden, n_inner], false, Activation::Silu)?;
    Ok(Some(Shared { mlp, gate: None }))
}

/// Fails unless a token uses at least one expert and at most as many as there are.
pub(super) fn check_experts(
    file: &ModelConfig,
    (field, n): (&str, i32),
    n_used: usize,
) -> Result<(), LoadError> {
    file.positive(field, n)?;
    let n_used = i32::try_from(n_used).unwrap_or(i32::MAX);
    file.positive("num_experts_per_tok", n_used)?;
    if n_used > n {
        return Err(file.impossible("num_experts_per_tok", &format!("at most `{field}`, {n}"), n_used));
    }
    Ok(())
}

/// The groups that `n_group` and `topk_group` of config.json make of `n` experts, of which a token uses `n_used`; `None`
/// if there is one group. `n_counted` scores make a group's value.
pub(super) fn expert_groups(
    file: &ModelConfig,
    n: i32,
    n_used: usize,
    [n_groups, n_groups_used]: [Option<usize>; 2],
    n_counted: usize,
) -> Result<Option<Groups>, LoadError> {
    let n = usize::try_from(n).unwrap_or(0);
    let n_groups = n_groups.unwrap_or(1);
    if n_groups == 1 {
        return Ok(None);
    }
    if n_groups == 0 || !n.is_multiple_of(n_groups) || n / n_groups < n_counted {
        let expected = format!("a divisor of the number of experts, {n}");
        return Err(file.impossible("n_group", &expected, n_groups));
    }
    let n_groups_used = n_groups_used.unwrap_or(n_groups);
    if n_groups_used == 0 || n_groups_used > n_groups || n_groups_used * (n / n_groups) < n_used {
        let expected = format!("enough for {n_used} experts and at most `n_group`, {n_groups}");
        return Err(file.impossible("topk_group", &expected, n_groups_used));
    }
    Ok(Some(Groups { n: n_groups, n_used: n_groups_used, n_counted }))
}

/// The weight `[n_channels, n_kernel]` of a convolution of each channel, which mlx_lm's conversions have turned.
pub(super) fn depthwise(
    weights: &mut Weights<'_>,
    name: &str,
    n_channels: i32,
    n_kernel: i32,
) -> Result<Array, LoadError> {
    let is_turned = weights.shape(name).is_some_and(|it| it.last() == Some(&1));
    let shape = if is_turned { [n_channels, n_kernel, 1] } else { [n_channels, 1, n_kernel] };
    Ok(weights.array(name, &shape)?.reshape(&[n_channels, n_kernel])?)
}

/// The name of layer `i`.
pub(super) fn layer(i: usize) -> String {
    format!("model.layers.{i}")
}

/// For each layer whether it attends within a window: by `layer_types` of config.json, or else by its index.
pub(super) fn sliding_layers(
    file: &ModelConfig,
    layer_types: Option<&[String]>,
    n_layers: usize,
    by_index: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, LoadError> {
    let Some(layer_types) = layer_types else { return Ok((0..n_layers).map(by_index).collect()) };
    if layer_types.len() != n_layers {
        let expected = format!("one type for each of {n_layers} layers");
        return Err(file.impossible("layer_types", &expected, layer_types.len()));
    }
    let is_sliding = |it: &String| match it.as_str() {
        "full_attention" => Ok(false),
        "sliding_attention" => Ok(true),
        other => Err(file.unsupported(format!("layers of type `{other}` are not supported"))),
    };
    layer_types.iter().map(is_sliding).collect()
}

/// A layer with a norm before attention and one before the feed-forward network.
pub(super) fn pre_normed(
    weights: &mut Weights<'_>,
    name: &str,
    dimensions: &Dimensions,
    attention: Attention,
    feed_forward: FeedForward,
) -> Result<Block, LoadError> {
    let Dimensions { n_hidden, norm_eps, .. } = *dimensions;
    let mut norm = |part: &str| weights.norm(&format!("{name}.{part}"), n_hidden, norm_eps);
    Ok(Block::new(
        Residual::after_norm(norm("input_layernorm")?, Mixer::Attention(attention)),
        Residual::after_norm(norm("post_attention_layernorm")?, feed_forward),
    ))
}

/// A layer with norms before and after attention, then before and after the feed-forward network.
pub(super) fn double_normed(
    attention: Attention,
    feed_forward: FeedForward,
    [before_attention, after_attention, before, after]: [Norm; 4],
) -> Block {
    Block::new(
        Residual {
            before: Some(before_attention),
            inner: Mixer::Attention(attention),
            after: Some(after_attention),
            scale: 1.0,
            group: None,
        },
        Residual { before: Some(before), inner: feed_forward, after: Some(after), scale: 1.0, group: None },
    )
}

/// `embed_tokens`, `blocks`, an RMS norm and `lm_head`.
pub(super) fn network(
    weights: &mut Weights<'_>,
    dimensions: &Dimensions,
    blocks: Vec<Block>,
) -> Result<Network, LoadError> {
    let norm = weights.norm("model.norm", dimensions.n_hidden, dimensions.norm_eps)?;
    network_with(weights, dimensions, blocks, norm)
}

/// `embed_tokens`, `blocks`, this norm and `lm_head`.
pub(super) fn network_with(
    weights: &mut Weights<'_>,
    dimensions: &Dimensions,
    blocks: Vec<Block>,
    norm: Norm,
) -> Result<Network, LoadError> {
    let Dimensions { n_hidden, n_tokens, .. } = *dimensions;
    let embedding = weights.matrix("model.embed_tokens", n_tokens, n_hidden)?;
    let head = if weights.is_tied(dimensions.is_tied)? {
        // Some checkpoints have a copy of the embedding there.
        weights.ignore("lm_head.");
        None
    } else {
        Some(weights.matrix("lm_head", n_tokens, n_hidden)?)
    };
    Ok(Network {
        embedding,
        embedding_scale: 1.0,
        token_inputs: None,
        blocks,
        norm,
        head,
        logits: Logits::default(),
        vocabulary_size: n_tokens.unsigned_abs() as usize,
        vocabulary_part: None,
        context_length: dimensions.context_length,
    })
}
