//! `mellum`: JetBrains' Mellum 2: experts in every layer, and windows in some.
//!
//! As in mlx_lm's `models/mellum.py`.

use std::rc::Rc;

use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use super::{qwen3, qwen3_moe};
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Attention, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    sliding_window: Option<usize>,
    layer_types: Option<Vec<String>>,
}

const DEFAULT_CONTEXT: usize = 131_072;

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    let experts = qwen3_moe::ExpertFields::read(file)?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let is_sliding =
        layout::sliding_layers(file, fields.layer_types.as_deref(), dimensions.n_layers, |_| false)?;
    let rope_of = |layer_type| {
        let defaults = RopeDefaults { layer_type: Some(layer_type), ..RopeDefaults::DENSE };
        Rope::read(file, dimensions.heads.head_dim, &defaults).map(Rc::new)
    };
    let rope = rope_of("full_attention")?;
    let local = match fields.sliding_window {
        Some(window) if is_sliding.contains(&true) => {
            file.positive("sliding_window", i32::try_from(window).unwrap_or(i32::MAX))?;
            Some((rope_of("sliding_attention")?, window))
        }
        None if is_sliding.contains(&true) => {
            return Err(file.impossible("sliding_window", "at least 1", "none"));
        }
        _ => None,
    };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let (rope, window) = match &local {
                Some((rope, window)) if is_sliding[i] => (rope, Some(*window)),
                _ => (&rope, None),
            };
            let attention = qwen3::attention(weights, &name, &dimensions, AttentionBias::default(), rope)?;
            let attention = Attention { window, ..attention };
            let experts = experts.take(weights, &format!("{name}.mlp"), dimensions.n_hidden)?;
            layout::pre_normed(weights, &name, &dimensions, attention, FeedForward::Experts(experts))
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}
