//! The checkpoint's matrices in the terms of the CPU kernels.

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype};
use runabout_kernels::{Floats, Weights, bf16, f16};

use super::packed::to_usize;
use crate::error::not_a_slice;
use crate::weights::Matrix;

/// The matrix in the kernels' terms; a stack becomes one matrix after the other. It is evaluated if it has not
/// been.
pub(super) fn to_kernels(matrix: &Matrix) -> Result<Vec<runabout_kernels::Matrix<'_>>> {
    let (weight, n_cols) = match matrix {
        Matrix::Plain { weight } => (weight, weight.dim(-1)),
        Matrix::Quantized { weight, scales, grouping, .. } => (weight, scales.dim(-1) * grouping.group_size),
        Matrix::Micro(_) | Matrix::Packed(_) => unreachable!("matrices are read, and packed once"),
    };
    let (n_rows, n_cols) = (to_usize(weight.dim(-2)), to_usize(n_cols));
    let n_stacked = weight.size() / (n_rows * to_usize(weight.dim(-1))).max(1);
    let all = match matrix {
        Matrix::Quantized { weight, scales, biases, grouping } => Weights::Affine {
            words: slice(weight)?,
            scales: floats(scales)?,
            biases: floats(biases)?,
            bits: to_usize(grouping.bits),
            group_size: to_usize(grouping.group_size),
        },
        _ => Weights::Plain(floats(weight)?),
    };
    Ok((0..n_stacked)
        .map(|i| runabout_kernels::Matrix { n_rows, n_cols, weights: part_of(all, i, n_stacked) })
        .collect())
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
