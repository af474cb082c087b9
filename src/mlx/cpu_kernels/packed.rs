//! Weights packed for the CPU kernels, and the operations that use them: [`Packed`] and [`PackedLinear`].

use std::sync::Arc;

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype};
use runabout_kernels::{
    Cpu, Epilogue, Floats, Input, KernelError, Norm, PackedWeights, Weights, bf16, f16, matmul,
};

use crate::LoadError;
use crate::error::not_a_slice;
use crate::kernel_op::kernel_op;
use crate::linear::Matrix;
use crate::norm::RmsNorm;

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

    /// The norm followed by this matrix, without a bias.
    pub(crate) fn after(&self, norm: &RmsNorm) -> std::result::Result<PackedLinear, LoadError> {
        Ok(PackedLinear { packed: self.clone(), norm: Some(HostNorm::new(norm)?), bias: None })
    }
}

/// `norm(x) @ weights.T + bias`, with an optional norm and bias. Clones share the weights.
#[derive(Clone)]
pub(crate) struct PackedLinear {
    pub(super) packed: Packed,
    pub(super) norm: Option<HostNorm>,
    pub(super) bias: Option<Arc<[f32]>>,
}

impl PackedLinear {
    /// Computes `[T, n_out]` from `[T, n_in]`, plus `residual` if given.
    pub(crate) fn forward(&self, x: &Array, residual: Option<&Array>) -> Result<Array> {
        let linear = self.clone();
        let shape = [x.dim(0), to_i32(self.n_outputs())];
        let inputs: Vec<_> = std::iter::once(x).chain(residual).collect();
        let has_residual = residual.is_some();
        kernel_op(c"linear", &inputs, &shape, move |inputs, out: &mut [f32]| {
            let epilogue = if has_residual { Epilogue::Add(inputs.slice(1)?) } else { Epilogue::Store };
            Ok(linear.run(inputs.slice(0)?, epilogue, out)?)
        })
    }

    pub(super) fn run(
        &self,
        x: &[f32],
        epilogue: Epilogue<'_>,
        out: &mut [f32],
    ) -> std::result::Result<(), KernelError> {
        let Packed { cpu, weights } = &self.packed;
        let norm = self.norm.as_ref().map(|it| Norm { weight: &it.weight, eps: it.eps });
        matmul(cpu, weights, Input { x, norm, bias: self.bias.as_deref() }, epilogue, out)
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.packed.weights.n_outputs()
    }
}

/// A norm with its weight in host memory, so that it need not be an input of each operation.
#[derive(Clone)]
pub(super) struct HostNorm {
    weight: Arc<[f32]>,
    eps: f32,
}

impl HostNorm {
    pub(super) fn new(norm: &RmsNorm) -> Result<Self> {
        Ok(Self { weight: floats(&norm.weight)?.into(), eps: norm.eps })
    }
}

/// An evaluated matrix in the kernels' terms.
pub(super) fn to_kernels(matrix: &Matrix) -> Result<runabout_kernels::Matrix<'_>> {
    let (weights, n_cols) = match matrix {
        Matrix::Plain { weight } => (Weights::Plain(to_floats(weight)?), weight.dim(1)),
        Matrix::Quantized { weight, scales, biases, group_size, bits } => {
            let weights = Weights::Affine {
                words: slice(weight)?,
                scales: to_floats(scales)?,
                biases: to_floats(biases)?,
                bits: to_usize(*bits),
                group_size: to_usize(*group_size),
            };
            (weights, scales.dim(1) * group_size)
        }
    };
    let (Matrix::Plain { weight } | Matrix::Quantized { weight, .. }) = matrix;
    Ok(runabout_kernels::Matrix { n_rows: to_usize(weight.dim(0)), n_cols: to_usize(n_cols), weights })
}

fn to_floats(array: &Array) -> Result<Floats<'_>> {
    match array.dtype() {
        Dtype::Float16 => slice::<f16>(array).map(Floats::F16),
        Dtype::Bfloat16 => slice::<bf16>(array).map(Floats::Bf16),
        _ => slice(array).map(Floats::F32),
    }
}

/// A small array as float32 numbers.
pub(super) fn floats(array: &Array) -> Result<Vec<f32>> {
    slice(&array.as_dtype(Dtype::Float32)?).map(<[f32]>::to_vec)
}

fn slice<T: mlx_rs::ArrayElement>(array: &Array) -> Result<&[T]> {
    array.try_as_slice().map_err(not_a_slice)
}

/// For shapes, which are never negative.
pub(super) fn to_usize(n: i32) -> usize {
    n.unsigned_abs() as usize
}

/// For shapes, which MLX stores as `i32`.
pub(super) fn to_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
