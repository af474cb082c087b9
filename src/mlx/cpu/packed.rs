//! Weights packed for the CPU kernels: [`Packed`].

use std::sync::Arc;

use mlx_rs::Array;
use mlx_rs::error::Result;
use runabout_kernels::{Cpu, Epilogue, Input, PackedWeights, matmul};

use super::kernel_op::kernel_op;

/// Matrices with the same input, in the kernels' own layout. Clones share them.
#[derive(Clone)]
pub(crate) struct Packed {
    pub(super) cpu: Arc<Cpu>,
    pub(super) weights: Arc<PackedWeights>,
}

impl Packed {
    /// Looks up rows: `[T, n_in]` for the indices `[T]`.
    pub(crate) fn rows(&self, idx: &Array) -> Result<Array> {
        let Self { cpu, weights } = self.clone();
        let shape = [idx.dim(0), to_i32(weights.n_inputs())];
        kernel_op(c"rows", &[idx], &shape, move |inputs, out: &mut [f32]| {
            Ok(weights.read_rows(&cpu, inputs.slice(0)?, out)?)
        })
    }

    /// `x @ weights.T` for `x` `[T, n_in]`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let Self { cpu, weights } = self.clone();
        let shape = [x.dim(0), to_i32(weights.n_outputs())];
        kernel_op(c"matrix", &[&x.contiguous()?], &shape, move |inputs, out: &mut [f32]| {
            let input = Input { x: inputs.slice(0)?, norm: None, bias: None };
            Ok(matmul(&cpu, &weights, input, Epilogue::Store, out)?)
        })
    }

    pub(crate) fn n_outputs(&self) -> usize {
        self.weights.n_outputs()
    }
}

/// For shapes, which are never negative.
pub(super) fn to_usize(n: i32) -> usize {
    n.unsigned_abs() as usize
}

/// For shapes, which MLX stores as `i32`.
pub(super) fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
