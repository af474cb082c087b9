//! `qwen3_moe`: Qwen3 with experts, Qwen3-Coder-30B-A3B among them.
//!
//! Defaults as in mlx_lm's `models/qwen3_moe.py`.

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
use crate::parts::{Experts, Rope, RopeDefaults, Routing, Scoring};
use crate::weights::Weights;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    attention_bias: bool,
    /// Layers whose number, counted from 1, is a multiple of this have experts.
    #[serde(default = "one")]
    decoder_sparse_step: usize,
    #[serde(default)]
    mlp_only_layers: Vec<usize>,
}

/// The experts' part of config.json, under the names that several architectures have.
#[derive(Deserialize)]
pub(super) struct ExpertFields {
    num_experts: i32,
    num_experts_per_tok: usize,
    moe_intermediate_size: i32,
    #[serde(default)]
    norm_topk_prob: bool,
}

fn one() -> usize {
    1
}

const DEFAULT_CONTEXT: usize = 32_768;
const ROPE: RopeDefaults<'_> = RopeDefaults { base: 1_000_000.0, ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let dimensions = Dimensions::read(file, DEFAULT_CONTEXT)?;
    let fields: Fields = file.fields()?;
    let experts = ExpertFields::read(file)?;
    file.positive("decoder_sparse_step", i32::try_from(fields.decoder_sparse_step).unwrap_or(i32::MAX))?;
    let rope = Rc::new(Rope::read(file, dimensions.heads.head_dim, &ROPE)?);
    let bias = AttentionBias { qkv: fields.attention_bias, o: fields.attention_bias };
    let blocks = (0..dimensions.n_layers)
        .map(|i| {
            let name = layout::layer(i);
            let attention = qwen3::attention(weights, &name, &dimensions, bias, &rope)?;
            let has_experts =
                !fields.mlp_only_layers.contains(&i) && (i + 1).is_multiple_of(fields.decoder_sparse_step);
            let feed_forward = if has_experts {
                FeedForward::Experts(experts.take(weights, &format!("{name}.mlp"), dimensions.n_hidden)?)
            } else {
                FeedForward::Mlp(layout::gated_mlp(weights, &name, &dimensions, false, Activation::Silu)?)
            };
            layout::pre_normed(weights, &name, &dimensions, attention, feed_forward)
        })
        .collect::<Result<_, _>>()?;
    layout::network(weights, &dimensions, blocks)
}

impl ExpertFields {
    pub(super) fn read(file: &ModelConfig) -> Result<Self, LoadError> {
        let fields: Self = file.fields()?;
        layout::check_experts(file, ("num_experts", fields.num_experts), fields.num_experts_per_tok)?;
        file.positive("moe_intermediate_size", fields.moe_intermediate_size)?;
        Ok(fields)
    }

    /// Takes the experts of the network of this name.
    pub(super) fn take(
        &self,
        weights: &mut Weights<'_>,
        name: &str,
        n_hidden: i32,
    ) -> Result<Experts, LoadError> {
        let (n, n_inner) = (self.num_experts, self.moe_intermediate_size);
        let [gate, up, down] = layout::expert_stacks(
            weights,
            &format!("{name}.switch_mlp"),
            Some(&format!("{name}.experts")),
            [n, n_inner, n_hidden],
            false,
        )?;
        Ok(Experts {
            router: weights.linear(&format!("{name}.gate"), n, n_hidden, false)?,
            routing: Routing::plain(
                self.num_experts_per_tok,
                Scoring::Softmax { is_normalized: self.norm_topk_prob },
            ),
            gate,
            up,
            down,
            gating: Gating::Activation(Activation::Silu),
            shared: None,
        })
    }
}
