//! Matrices and linear layers, quantized or not: one type each, so that a model is written once.
//!
//! Whether a layer is quantized, and to how many bits, follows from the shapes in the checkpoint, as in mlx_lm for
//! layers that its configuration does not name.

use mlx_rs::{Array, Dtype, error::Result, ops};

use crate::LoadError;

/// A matrix `[n_out, n_in]`. Clones share it.
#[derive(Clone)]
pub(crate) enum Matrix {
    Plain {
        weight: Array, // [n_out, n_in]
    },
    /// MLX's affine quantization: `weight = scale * q + bias` over groups along the input.
    Quantized {
        weight: Array, // [n_out, n_in * bits / 32], u32
        scales: Array, // [n_out, n_in / group_size]
        biases: Array, // [n_out, n_in / group_size]
        group_size: i32,
        bits: i32,
    },
}

/// The group size and bits of a quantized matrix.
#[derive(Clone, Copy)]
pub(crate) struct Grouping {
    pub(crate) group_size: i32,
    pub(crate) bits: i32,
}

impl Grouping {
    /// Derived for a weight of `[n_out, n_in]` numbers from the shapes of its packed words and its scales.
    pub(crate) fn of(
        name: &str,
        [n_out, n_in]: [i32; 2],
        words: &[i32],
        scales: &[i32],
    ) -> std::result::Result<Self, LoadError> {
        let (n_words, n_groups) = match (words, scales) {
            (&[rows, words], &[scale_rows, groups]) if rows == n_out && scale_rows == n_out => {
                (i64::from(words), i64::from(groups))
            }
            _ => {
                return Err(LoadError::WrongShape {
                    name: name.to_owned(),
                    expected: vec![n_out, n_in],
                    got: words.to_vec(),
                });
            }
        };
        let unsupported =
            |message: String| LoadError::UnsupportedQuantization { name: name.to_owned(), message };
        let n_in = i64::from(n_in);
        let bits = [2, 3, 4, 5, 6, 8].into_iter().find(|it| i64::from(*it) * n_in == n_words * 32);
        let group_size = [32, 64, 128].into_iter().find(|it| i64::from(*it) * n_groups == n_in);
        Ok(Self {
            bits: bits.ok_or_else(|| {
                unsupported(format!(
                    "expected 2, 3, 4, 5, 6 or 8 bits, got {n_words} words for {n_in} weights"
                ))
            })?,
            group_size: group_size.ok_or_else(|| {
                unsupported(format!("expected groups of 32, 64 or 128, got {n_groups} for {n_in} weights"))
            })?,
        })
    }
}

impl Matrix {
    /// `x @ weight.T`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Plain { weight } => ops::matmul(x, weight.transpose()?),
            Self::Quantized { weight, scales, biases, group_size, bits } => {
                ops::quantized_matmul(x, weight, scales, biases, true, *group_size, *bits)
            }
        }
    }

    /// The rows at `idx`, dequantized.
    pub(crate) fn rows(&self, idx: &Array) -> Result<Array> {
        match self {
            Self::Plain { weight } => weight.take_axis(idx, 0),
            Self::Quantized { weight, scales, biases, group_size, bits } => ops::dequantize(
                weight.take_axis(idx, 0)?,
                scales.take_axis(idx, 0)?,
                &biases.take_axis(idx, 0)?,
                *group_size,
                *bits,
            ),
        }
    }

    /// The type of activations computed with this matrix.
    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Self::Plain { weight } => weight.dtype(),
            Self::Quantized { scales, .. } => scales.dtype(),
        }
    }
}

/// `y = x @ weight.T + bias`.
pub(crate) struct Linear {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Option<Array>, // [n_out]
}

impl Linear {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let y = self.matrix.forward(x)?;
        match &self.bias {
            Some(bias) => y.add(bias),
            None => Ok(y),
        }
    }
}
