//! The checkpoint's matrices in the terms of the CPU kernels.

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype};
use runabout_kernels::{Floats, Weights, bf16, f16};

use super::packed::to_usize;
use crate::error::not_a_slice;
use crate::weights::Matrix;

/// A matrix of the checkpoint, or one matrix of a stack.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    matrix: &'a Matrix,
    /// Its place in the stack.
    i: usize,
    n_stacked: usize,
}

impl<'a> Source<'a> {
    pub(super) fn of(matrix: &'a Matrix) -> Self {
        Self { matrix, i: 0, n_stacked: 1 }
    }

    /// Each matrix of a stack.
    pub(super) fn of_stack(stack: &'a Matrix) -> impl Iterator<Item = Self> {
        let n_stacked = to_usize(words_of(stack).dim(0));
        (0..n_stacked).map(move |i| Self { matrix: stack, i, n_stacked })
    }

    /// `[n_outputs, n_inputs]`.
    pub(super) fn shape(self) -> [usize; 2] {
        let n_inputs = match self.matrix {
            Matrix::Plain { weight } => weight.dim(-1),
            Matrix::Quantized { scales, grouping, .. } => scales.dim(-1) * grouping.group_size,
            Matrix::Micro(micro) => micro.n_inputs(),
            Matrix::Packed(_) => unreachable!("{PACKED_ONCE}"),
        };
        [words_of(self.matrix).dim(-2), n_inputs].map(to_usize)
    }

    /// The matrix in the kernels' terms. It is evaluated if it has not been.
    pub(super) fn to_kernels(self) -> Result<runabout_kernels::Matrix<'a>> {
        let [n_rows, n_cols] = self.shape();
        let all = match self.matrix {
            Matrix::Plain { weight } => Weights::Plain(floats(weight)?),
            Matrix::Quantized { weight, scales, biases, grouping } => Weights::Affine {
                words: slice(weight)?,
                scales: floats(scales)?,
                biases: floats(biases)?,
                bits: to_usize(grouping.bits),
                group_size: to_usize(grouping.group_size),
            },
            Matrix::Micro(_) | Matrix::Packed(_) => unreachable!("{PACKED_ONCE}"),
        };
        let weights = part_of(all, self.i, self.n_stacked);
        Ok(runabout_kernels::Matrix { n_rows, n_cols, weights })
    }
}

const PACKED_ONCE: &str = "matrices are read, and packed once";

/// The array whose rows are the matrix's.
fn words_of(matrix: &Matrix) -> &Array {
    match matrix {
        Matrix::Plain { weight } | Matrix::Quantized { weight, .. } => weight,
        Matrix::Micro(micro) => micro.words(),
        Matrix::Packed(_) => unreachable!("{PACKED_ONCE}"),
    }
}

/// The `i`th of `n` equal parts.
fn part_of(all: Weights<'_>, i: usize, n: usize) -> Weights<'_> {
    match all {
        Weights::Plain(values) => Weights::Plain(part_of_floats(values, i, n)),
        Weights::Affine { words, scales, biases, bits, group_size } => Weights::Affine {
            words: part_of_slice(words, i, n),
            scales: part_of_floats(scales, i, n),
            biases: part_of_floats(biases, i, n),
            bits,
            group_size,
        },
    }
}

fn part_of_floats(all: Floats<'_>, i: usize, n: usize) -> Floats<'_> {
    match all {
        Floats::F32(it) => Floats::F32(part_of_slice(it, i, n)),
        Floats::F16(it) => Floats::F16(part_of_slice(it, i, n)),
        Floats::Bf16(it) => Floats::Bf16(part_of_slice(it, i, n)),
    }
}

fn part_of_slice<T>(all: &[T], i: usize, n: usize) -> &[T] {
    let n_each = all.len() / n;
    &all[i * n_each..(i + 1) * n_each]
}

fn floats(array: &Array) -> Result<Floats<'_>> {
    match array.dtype() {
        Dtype::Float16 => slice::<f16>(array).map(Floats::F16),
        Dtype::Bfloat16 => slice::<bf16>(array).map(Floats::Bf16),
        _ => slice(array).map(Floats::F32),
    }
}

fn slice<T: mlx_rs::ArrayElement>(array: &Array) -> Result<&[T]> {
    array.try_as_slice().map_err(not_a_slice)
}
