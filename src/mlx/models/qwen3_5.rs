//! `qwen3_5` and `qwen3_5_moe`: the text part of Qwen3.5 and its successors: as Qwen3-Next, with projections apart.
//!
//! Defaults as in mlx_lm's `models/qwen3_5.py`.

use runabout_kernels::DeltaShape;

use super::qwen3_next;
use crate::LoadError;
use crate::config::ModelConfig;
use crate::network::Network;
use crate::parts::RopeDefaults;
use crate::weights::Weights;

const ROPE: RopeDefaults<'_> =
    RopeDefaults { base: 100_000.0, rotated_part: Some(0.25), ..RopeDefaults::DENSE };

pub(super) fn network(file: &ModelConfig, weights: &mut Weights<'_>) -> Result<Network, LoadError> {
    qwen3_next::network_with(file, weights, &ROPE, |weights, name, shape, n_hidden| {
        let DeltaShape { n_key_heads, n_value_heads, key_dim, value_dim } = shape;
        let to_i32 = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let n_values = n_value_heads * value_dim;
        let mut linear =
            |part: &str, n: usize| weights.linear(&format!("{name}.{part}"), to_i32(n), n_hidden, false);
        Ok([
            linear("in_proj_qkv", 2 * n_key_heads * key_dim + n_values)?,
            linear("in_proj_z", n_values)?,
            linear("in_proj_b", n_value_heads)?,
            linear("in_proj_a", n_value_heads)?,
        ])
    })
}
