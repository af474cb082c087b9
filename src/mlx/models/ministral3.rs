//! `ministral3`: Ministral 3 and Devstral 2: a llama whose queries grow with their positions, perhaps with windows.
//! `mistral3` is one of the two with eyes.
//!
//! As in mlx_lm's `models/ministral3.py` and `models/mistral3.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use super::llama;
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, PositionScale, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    sliding_window: Option<usize>,
    layer_types: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Positions {
    llama_4_scaling_beta: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

const DEFAULT_CONTEXT: usize = 262_144;
const TEXT_TYPE: &str = "ministral3";

/// `mistral3`, whose text part is a `ministral3` or a llama.
pub(super) fn network_with_eyes(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    match file.text_type.as_deref() {
        Some(TEXT_TYPE) => network(file, weights),
        Some("mistral4") => Err(file.unsupported("a text part of type `mistral4` is not supported")),
        _ => llama::network(file, weights),
    }
}

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let is_sliding =
        layout::sliding_layers(file, fields.layer_types.as_deref(), dimensions.n_layers, |_| false)?;
    if is_sliding.contains(&true) {
        let window = fields.sliding_window.map_or(0, |it| i32::try_from(it).unwrap_or(i32::MAX));
        file.positive("sliding_window", window)?;
    }
    let position_scale = position_scale(file)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attn = format!("{name}.self_attn");
            let attention =
                layout::attention(weights, &attn, &dimensions, AttentionBias::default(), Some(&rope))?;
            let window = fields.sliding_window.filter(|_| is_sliding[i]);
            let attention = Attention { window, position_scale, ..attention };
            let mlp = layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Mlp(mlp))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}

fn position_scale(file: &ModelConfig) -> Result<Option<PositionScale>, LoadError> {
    let Some(parameters) = file.get("rope_parameters") else { return Ok(None) };
    let positions: Positions = file.fields_of(parameters, "rope_parameters")?;
    let Some(beta) = positions.llama_4_scaling_beta else { return Ok(None) };
    let n = positions.original_max_position_embeddings.unwrap_or(0.0);
    let n = file.finite("rope_parameters.original_max_position_embeddings", n)?;
    if !beta.is_finite() {
        return Err(file.impossible("rope_parameters.llama_4_scaling_beta", "a number", beta));
    }
    Ok(Some(PositionScale { beta, n }))
}
