//! `granitemoe`: Granite with experts.
//!
//! As in mlx_lm's `models/granitemoe.py`.

use runabout_kernels::{Activation, Gating};
use serde::Deserialize;

use super::dimensions::Dimensions;
use super::{granite, layout};
use crate::LoadError;
use crate::block::FeedForward;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::{Experts, Routing, Scoring};
use crate::weights::Weights;

/// The experts' part of config.json.
#[derive(Deserialize)]
pub(super) struct ExpertFields {
    num_local_experts: i32,
    num_experts_per_tok: usize,
}

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    let fields = ExpertFields::read(file)?;
    granite::network_with(file, weights, |weights, layer, dimensions| {
        fields.take(weights, layer, dimensions).map(FeedForward::Experts)
    })
}

impl ExpertFields {
    pub(super) fn read(file: &ModelConfig) -> Result<Self, LoadError> {
        let fields: Self = file.fields()?;
        layout::check_experts(
            file,
            ("num_local_experts", fields.num_local_experts),
            fields.num_experts_per_tok,
        )?;
        Ok(fields)
    }

    /// Takes the experts of the layer of this name.
    pub(super) fn take(
        &self,
        weights: &mut Weights<'_>,
        layer: &str,
        dimensions: &Dimensions,
    ) -> Result<Experts, LoadError> {
        let n = self.num_local_experts;
        let name = format!("{layer}.block_sparse_moe");
        let (n_hidden, n_inner) = (dimensions.n_hidden, dimensions.n_inner);
        // In the original checkpoint, gate and up are one matrix.
        let joined = format!("{name}.input_linear");
        let [gate, up, down] = if weights.has(&format!("{joined}.weight")) {
            let gate_up = weights.stack(&joined, |_| None, [n, 2 * n_inner, n_hidden], false)?;
            let down =
                weights.stack(&format!("{name}.output_linear"), |_| None, [n, n_hidden, n_inner], false)?;
            [gate_up.outputs(0..n_inner)?, gate_up.outputs(n_inner..2 * n_inner)?, down]
        } else {
            let name = format!("{name}.switch_mlp");
            layout::expert_stacks(weights, &name, None, [n, n_inner, n_hidden], false)?
        };
        Ok(Experts {
            router: weights.linear(&format!("{name}.router.layer"), n, n_hidden, false)?,
            routing: Routing::plain(self.num_experts_per_tok, Scoring::SoftmaxOfUsed),
            gate,
            up,
            down,
            gating: Gating::Activation(Activation::Silu),
            shared: None,
        })
    }
}
