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
    let multipliers = Multipliers::read(file)?;
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &RopeDefaults::DENSE)?);
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention = multipliers.attention(weights, &name, &dimensions, Some(&rope))?;
            let feed_forward = feed_forward(weights, &name, &dimensions)?;
            let block = layout::pre_normed(weights, &name, &dimensions, attention, feed_forward)?;
            Ok(multipliers.block(block))
        })
        .collect::<Result<_, LoadError>>()?;
    Ok(multipliers.network(layout::network(weights, &dimensions, blocks)?))
}

impl Multipliers {
    pub(super) fn read(file: &ModelConfig) -> Result<Self, LoadError> {
        let multipliers: Self = file.fields()?;
        for (field, value) in [
            ("logits_scaling", multipliers.logits_scaling),
            ("attention_multiplier", multipliers.attention_multiplier),
            ("embedding_multiplier", multipliers.embedding_multiplier),
            ("residual_multiplier", multipliers.residual_multiplier),
        ] {
            file.finite(field, value)?;
        }
        Ok(multipliers)
    }

    /// Attention with Granite's scale, without a bias or with one in all its layers.
    pub(super) fn attention(
        &self,
        weights: &mut Weights<'_>,
        layer: &str,
        dimensions: &Dimensions,
        rope: Option<&Rc<Rope>>,
    ) -> Result<Attention, LoadError> {
        let bias = AttentionBias { qkv: self.attention_bias, o: self.attention_bias };
        let attention = layout::attention(weights, &format!("{layer}.self_attn"), dimensions, bias, rope)?;
        Ok(Attention { scale: self.attention_multiplier, ..attention })
    }

    pub(super) fn block(&self, block: Block) -> Block {
        let scale = self.residual_multiplier;
        Block::new(block.mixer.scaled_by(scale), block.feed_forward.scaled_by(scale))
    }

    pub(super) fn network(&self, network: Network) -> Network {
        Network {
            embedding_scale: self.embedding_multiplier,
            logits: Logits { scale: self.logits_scaling.recip(), softcap: None },
            ..network
        }
    }
}
