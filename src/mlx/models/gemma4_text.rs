//! `gemma4_text`: Gemma 4 without its other senses: layers of two widths, some of which look at the keys of others.
//!
//! Defaults as in mlx_lm's `models/gemma4_text.py`. The small models give each layer a row of each token beside its
//! embedding; the larger ones have experts beside a network that every token uses.

use std::rc::Rc;

use mlx_rs::{Array, ops};
use runabout_kernels::{Activation, Gating};
use serde::Deserialize;
use serde_json::json;

use super::dimensions::Dimensions;
use super::layout;
use crate::LoadError;
use crate::block::{Block, FeedForward, Mixer, Residual};
use crate::config::ModelConfig;
use crate::network::{Logits, Network};
use crate::parts::{
    Attention, Experts, Heads, KvSource, Mlp, MlpAndExperts, Norm, NormKind, Rope, RopeDefaults, Routing,
    Scoring, TokenGate, TokenInputs,
};
use crate::weights::{Stack, Weights};

#[derive(Deserialize)]
struct Fields {
    global_head_dim: i32,
    num_global_key_value_heads: Option<i32>,
    num_kv_shared_layers: usize,
    hidden_size_per_layer_input: i32,
    vocab_size_per_layer_input: i32,
    sliding_window: usize,
    sliding_window_pattern: usize,
    #[serde(default)]
    attention_k_eq_v: bool,
    final_logit_softcapping: f32,
    use_double_wide_mlp: bool,
    #[serde(default)]
    enable_moe_block: bool,
    num_experts: Option<i32>,
    top_k_experts: Option<usize>,
    moe_intermediate_size: Option<i32>,
    layer_types: Option<Vec<String>>,
}

const DEFAULT_CONTEXT: usize = 131_072;
const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// What the layers of one type share.
struct LayerType {
    heads: Heads,
    rope: Rc<Rope>,
    window: Option<usize>,
    /// Whether values are the keys, before their norm.
    has_keys_as_values: bool,
}

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let file = &file.with_defaults(json!({
        "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "global_head_dim": 512,
        "rms_norm_eps": 1e-6, "vocab_size": 262_144, "vocab_size_per_layer_input": 262_144,
        "num_kv_shared_layers": 20, "hidden_size_per_layer_input": 256, "sliding_window": 512,
        "sliding_window_pattern": 5, "final_logit_softcapping": 30.0, "use_double_wide_mlp": true,
        "rope_parameters": {
            FULL: { "partial_rotary_factor": 0.25, "rope_theta": 1_000_000.0, "rope_type": "proportional" },
            SLIDING: { "rope_theta": 10_000.0, "rope_type": "default" },
        },
    }));
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let n_layers = dimensions.n_layers;
    let [full, sliding] = layer_types(file, &dimensions, &fields)?;
    let pattern = fields.sliding_window_pattern;
    file.positive("sliding_window_pattern", i32::try_from(pattern).unwrap_or(i32::MAX))?;
    let is_sliding = layout::sliding_layers(file, fields.layer_types.as_deref(), n_layers, |i| {
        !(i + 1).is_multiple_of(pattern)
    })?;
    // From here on, layers look at the keys and values of the last layer before of the same type.
    let n_own = n_layers.checked_sub(fields.num_kv_shared_layers).filter(|it| *it > 0);
    let n_own = n_own.ok_or_else(|| {
        let expected = format!("less than `num_hidden_layers`, {n_layers}");
        file.impossible("num_kv_shared_layers", &expected, fields.num_kv_shared_layers)
    })?;
    let has_experts = fields.enable_moe_block;
    let softcap = file.finite("final_logit_softcapping", fields.final_logit_softcapping)?;
    let blocks = (0..n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let layer_type = if is_sliding[i] { &sliding } else { &full };
            let shared = (i >= n_own).then(|| (0..n_own).rev().find(|it| is_sliding[*it] == is_sliding[i]));
            let source = match shared {
                None => None,
                Some(Some(source)) => Some(source),
                Some(None) => {
                    return Err(file.impossible(
                        "num_kv_shared_layers",
                        "fewer, since no layer before has such keys",
                        fields.num_kv_shared_layers,
                    ));
                }
            };
            let attention = attention(weights, &name, &dimensions, layer_type, source)?;
            let is_wide = fields.use_double_wide_mlp && i >= n_own;
            let n_inner = dimensions.n_inner.checked_mul(if is_wide { 2 } else { 1 });
            let n_inner =
                n_inner.ok_or_else(|| file.impossible("intermediate_size", "less", dimensions.n_inner))?;
            let mlp = layout::gated_mlp_of(
                weights,
                &format!("{name}.mlp"),
                [dimensions.n_hidden, n_inner],
                false,
                Activation::GeluTanh,
            )?;
            let mut norm = |part: &str| {
                weights.norm(&format!("{name}.{part}"), dimensions.n_hidden, dimensions.norm_eps)
            };
            let mixer = Residual {
                before: Some(norm("input_layernorm")?),
                inner: Mixer::Attention(attention),
                after: Some(norm("post_attention_layernorm")?),
                scale: 1.0,
                group: None,
            };
            let (before, after) = (norm("pre_feedforward_layernorm")?, norm("post_feedforward_layernorm")?);
            let (before, inner) = if has_experts {
                let both = mlp_and_experts(file, weights, &name, &dimensions, &fields, (before, mlp))?;
                (None, FeedForward::Both(both))
            } else {
                (Some(before), FeedForward::Mlp(mlp))
            };
            let feed_forward = Residual { before, inner, after: Some(after), scale: 1.0, group: None };
            Ok(Block {
                token_gate: token_gate(weights, &name, &dimensions, fields.hidden_size_per_layer_input)?,
                scale: Some(weights.vector(&format!("{name}.layer_scalar"), 1)?),
                ..Block::new(mixer, feed_forward)
            })
        })
        .collect::<Result<_, LoadError>>()?;
    Ok(Network {
        embedding_scale: (dimensions.n_hidden as f32).sqrt(),
        token_inputs: token_inputs(file, weights, &dimensions, &fields)?,
        logits: Logits { scale: 1.0, softcap: Some(softcap) },
        ..layout::network(weights, &dimensions, blocks)?
    })
}

/// Layers that attend to everything, and those that attend within the window.
fn layer_types(
    file: &ModelConfig,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<[LayerType; 2], LoadError> {
    let heads = dimensions.heads;
    file.positive("sliding_window", i32::try_from(fields.sliding_window).unwrap_or(i32::MAX))?;
    file.positive("global_head_dim", fields.global_head_dim)?;
    let n_kv_heads = fields.num_global_key_value_heads.filter(|_| fields.attention_k_eq_v);
    let full = Heads {
        n_kv_heads: n_kv_heads.unwrap_or(heads.n_kv_heads),
        head_dim: fields.global_head_dim,
        ..heads
    };
    file.positive("num_global_key_value_heads", full.n_kv_heads)?;
    if full.n_heads % full.n_kv_heads != 0 || full.n_heads.checked_mul(full.head_dim).is_none() {
        let expected = format!("a divisor of `num_attention_heads`, {}", full.n_heads);
        return Err(file.impossible("num_global_key_value_heads", &expected, full.n_kv_heads));
    }
    let of = |name, heads: Heads, window, has_keys_as_values| {
        let defaults =
            RopeDefaults { layer_type: Some(name), rotated_part: Some(1.0), ..RopeDefaults::DENSE };
        let rope = Rc::new(Rope::read(file, heads.head_dim, &defaults)?);
        Ok::<_, LoadError>(LayerType { heads, rope, window, has_keys_as_values })
    };
    Ok([
        of(FULL, full, None, fields.attention_k_eq_v)?,
        of(SLIDING, heads, Some(fields.sliding_window), false)?,
    ])
}

fn attention(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    layer_type: &LayerType,
    source: Option<usize>,
) -> Result<Attention, LoadError> {
    let LayerType { heads, rope, window, has_keys_as_values } = layer_type;
    let (n_hidden, n_key, eps) = (dimensions.n_hidden, heads.n_key(), dimensions.norm_eps);
    let name = format!("{layer}.self_attn");
    let mut linear = |part: &str, n_out, n_in| weights.linear(&format!("{name}.{part}"), n_out, n_in, false);
    let q_proj = linear("q_proj", heads.n_query(), n_hidden)?;
    let o_proj = linear("o_proj", n_hidden, heads.n_query())?;
    let source = if let Some(idx) = source {
        KvSource::Layer(idx)
    } else {
        let k_proj = linear("k_proj", n_key, n_hidden)?;
        let v_proj = if *has_keys_as_values { k_proj.clone() } else { linear("v_proj", n_key, n_hidden)? };
        KvSource::Own { k_proj, v_proj }
    };
    let q_norm = weights.norm(&format!("{name}.q_norm"), heads.head_dim, eps)?;
    let k_norm = if matches!(source, KvSource::Layer(_)) {
        // Some checkpoints have these for layers that do not use them.
        for part in ["k_proj", "v_proj", "k_norm"] {
            weights.ignore(&format!("{name}.{part}."));
        }
        None
    } else {
        Some(weights.norm(&format!("{name}.k_norm"), heads.head_dim, eps)?)
    };
    let weightless =
        |norm: &Norm| Ok::<_, LoadError>(Norm { weight: ops::ones_like(&norm.weight)?, ..norm.clone() });
    let v_norm = k_norm.as_ref().map(weightless).transpose()?;
    Ok(Attention {
        q_proj,
        source,
        o_proj,
        gate_proj: None,
        q_norm: Some(q_norm),
        k_norm,
        v_norm,
        heads: *heads,
        scale: 1.0,
        rope: Some(Rc::clone(rope)),
        window: *window,
        sinks: None,
        softcap: None,
        position_scale: None,
    })
}

fn mlp_and_experts(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    fields: &Fields,
    (before_mlp, mlp): (Norm, Mlp),
) -> Result<MlpAndExperts, LoadError> {
    let (n_hidden, eps) = (dimensions.n_hidden, dimensions.norm_eps);
    let (n, n_used) = (fields.num_experts.unwrap_or(0), fields.top_k_experts.unwrap_or(0));
    layout::check_experts(file, ("num_experts", n), n_used)?;
    let n_inner = fields.moe_intermediate_size.unwrap_or(0);
    file.positive("moe_intermediate_size", n_inner)?;
    let router = format!("{layer}.router");
    let scale = weights.vector(&format!("{router}.scale"), n_hidden)?;
    let root = Array::from_f32((n_hidden as f32).powf(-0.5)).as_dtype(scale.dtype())?;
    let [gate, up, down] = stacks(file, weights, &format!("{layer}.experts"), [n, n_inner, n_hidden])?;
    let experts = Experts {
        router: weights.linear(&format!("{router}.proj"), n, n_hidden, false)?,
        routing: Routing {
            expert_scales: Some(weights.vector(&format!("{router}.per_expert_scale"), n)?),
            ..Routing::plain(n_used, Scoring::SoftmaxOfUsed)
        },
        gate,
        up,
        down,
        gating: Gating::Activation(Activation::GeluTanh),
        shared: None,
    };
    let mut norm = |part: &str| weights.norm(&format!("{layer}.{part}"), n_hidden, eps);
    Ok(MlpAndExperts {
        before_mlp,
        mlp,
        after_mlp: norm("post_feedforward_layernorm_1")?,
        before_router: Norm { kind: NormKind::Rms, weight: scale.multiply(root)?, eps },
        before_experts: norm("pre_feedforward_layernorm_2")?,
        experts,
        after_experts: norm("post_feedforward_layernorm_2")?,
    })
}

/// In the original checkpoint, gate and up are one array, and the names have no ending.
fn stacks(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    name: &str,
    [n, n_inner, n_hidden]: [i32; 3],
) -> Result<[Stack; 3], LoadError> {
    let joined = format!("{name}.gate_up_proj");
    if !weights.has(&joined) {
        return layout::expert_stacks(
            weights,
            &format!("{name}.switch_glu"),
            None,
            [n, n_inner, n_hidden],
            false,
        );
    }
    let n_joined = n_inner.checked_mul(2);
    let n_joined = n_joined.ok_or_else(|| file.impossible("moe_intermediate_size", "less", n_inner))?;
    let mut plain =
        |name: &str, shape: [i32; 3]| Ok::<_, LoadError>(Stack::plain(weights.array(name, &shape)?));
    let gate_up = plain(&joined, [n, n_joined, n_hidden])?;
    let down = plain(&format!("{name}.down_proj"), [n, n_hidden, n_inner])?;
    Ok([gate_up.outputs(0..n_inner)?, gate_up.outputs(n_inner..n_joined)?, down])
}

/// What a layer does with its row of each token; `None` if there are no such rows.
fn token_gate(
    weights: &mut Weights<'_>,
    layer: &str,
    dimensions: &Dimensions,
    n_row: i32,
) -> Result<Option<TokenGate>, LoadError> {
    if n_row <= 0 {
        return Ok(None);
    }
    let n_hidden = dimensions.n_hidden;
    Ok(Some(TokenGate {
        gate: weights.linear(&format!("{layer}.per_layer_input_gate"), n_row, n_hidden, false)?,
        projection: weights.linear(&format!("{layer}.per_layer_projection"), n_hidden, n_row, false)?,
        norm: weights.norm(&format!("{layer}.post_per_layer_input_norm"), n_hidden, dimensions.norm_eps)?,
    }))
}

fn token_inputs(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    dimensions: &Dimensions,
    fields: &Fields,
) -> Result<Option<TokenInputs>, LoadError> {
    let n_row = fields.hidden_size_per_layer_input;
    if n_row <= 0 {
        return Ok(None);
    }
    if fields.vocab_size_per_layer_input < dimensions.n_tokens {
        let expected = format!("at least `vocab_size`, {}", dimensions.n_tokens);
        return Err(file.impossible(
            "vocab_size_per_layer_input",
            &expected,
            fields.vocab_size_per_layer_input,
        ));
    }
    let n_all = i32::try_from(dimensions.n_layers).ok().and_then(|it| it.checked_mul(n_row));
    let n_all = n_all.ok_or_else(|| file.impossible("hidden_size_per_layer_input", "less", n_row))?;
    Ok(Some(TokenInputs {
        embedding: weights.matrix(
            "model.embed_tokens_per_layer",
            fields.vocab_size_per_layer_input,
            n_all,
        )?,
        embedding_scale: (n_row as f32).sqrt(),
        projection: weights.linear("model.per_layer_model_projection", n_all, dimensions.n_hidden, false)?,
        projection_scale: (dimensions.n_hidden as f32).powf(-0.5),
        norm: weights.norm("model.per_layer_projection_norm", n_row, dimensions.norm_eps)?,
        scale: std::f32::consts::FRAC_1_SQRT_2,
    }))
}
