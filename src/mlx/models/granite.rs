//! `granite`: IBM's Granite: a llama with multipliers on embeddings, attention, residuals and logits.
//!
//! As in mlx_lm's `models/granite.py`.

use std::rc::Rc;

use runabout_kernels::Activation;
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::layout::{self, AttentionBias};
use crate::LoadError;
use crate::block::{Block, FeedForward};
use crate::config::ModelConfig;
use crate::network::{Logits, Network};
use crate::parts::{Attention, Rope, RopeDefaults};
use crate::weights::Weights;

#[derive(Deserialize)]
pub(super) struct Multipliers {
    logits_scaling: f32,
    attention_multiplier: f32,
    embedding_multiplier: f32,
    residual_multiplier: f32,
    #[serde(default)]
    attention_bias: bool,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    mlp_bias: bool,
}

const DEFAULT_CONTEXT: usize = 4096;

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields: Fields = file.fields()?;
    network_with(file, weights, |weights, name, dimensions| {
        let mlp = layout::gated_mlp(weights, name, dimensions, fields.mlp_bias, Activation::Silu)?;
        Ok(FeedForward::Mlp(mlp))
    })
}

/// A Granite whose layer of this name has the feed-forward network that `feed_forward` makes.
pub(super) fn network_with(
    file: &ModelConfig,
    weights: &mut Weights<'_>,
    feed_forward: impl Fn(&mut Weights<'_>, &str, &Dimensions) -> Result<FeedForward, LoadError>,
) -> Result<Network, LoadError> {
    let multipliers: Multipliers = file.fields()?;
    for (field, value) in [
        ("logits_scaling", multipliers.logits_scaling),
        ("attention_multiplier", multipliers.attention_multiplier),
        ("embedding_multiplier", multipliers.embedding_multiplier),
        ("residual_multiplier", multipliers.residual_multiplier),
    ] {
        file.finite(field, value)?;
    }
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let bias = AttentionBias { qkv: multipliers.attention_bias, o: multipliers.attention_bias };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention =
                layout::attention(weights, &format!("{name}.self_attn"), &dimensions, bias, Some(&rope))?;
            let attention = Attention { scale: multipliers.attention_multiplier, ..attention };
            let feed_forward = feed_forward(weights, &name, &dimensions)?;
            let block = layout::pre_normed(weights, &name, &dimensions, attention, feed_forward)?;
            let scale = multipliers.residual_multiplier;
            Ok(Block {
                mixer: block.mixer.scaled_by(scale),
                feed_forward: block.feed_forward.scaled_by(scale),
            })
        })
        .collect::<Result<_, LoadError>>()?;
    Ok(Network {
        embedding_scale: multipliers.embedding_multiplier,
        logits: Logits { scale: multipliers.logits_scaling.recip(), softcap: None },
        ..layout::network(weights, &dimensions, blocks)?
    })
}
