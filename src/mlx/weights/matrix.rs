//! Matrices and linear layers, quantized or not: one type each, so that a model is written once.
//!
//! Whether a matrix is quantized, and to how many bits, follows from the shapes in the checkpoint, as in mlx_lm for
//! layers that its configuration does not name.

use std::ops::Range;

use mlx_rs::ops::indexing::{Ellipsis, TryIndexOp};
use mlx_rs::{Array, Dtype, error::Result, ops};

use super::low_rank::LowRank;
use super::micro::Micro;
use crate::LoadError;
use crate::cpu::Packed;

/// A matrix `[n_out, n_in]`, or a stack of such matrices with one more dimension before. Clones share it.
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
        grouping: Grouping,
    },
    /// Small floats. Those that are affine become so when they are read, and others plain if there are CPU kernels.
    Micro(Micro),
    /// In the layout of the CPU kernels; never a stack.
    Packed(Packed),
}

/// `y = x @ weight.T + low_rank(x) + bias`. Clones share the arrays.
#[derive(Clone)]
pub(crate) struct Linear {
    pub(crate) matrix: Matrix,
    pub(crate) low_rank: Option<LowRank>,
    pub(crate) bias: Option<Array>, // [n_out]
}

/// The group size and bits of a quantized matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grouping {
    pub(crate) group_size: i32,
    pub(crate) bits: i32,
}

impl Grouping {
    /// Derived for a weight of `shape` from the shapes of its packed words and its scales.
    pub(crate) fn of(
        name: &str,
        shape: &[i32],
        words: &[i32],
        scales: &[i32],
    ) -> std::result::Result<Self, LoadError> {
        let (n_words, n_groups, n_in) = match (words, scales, shape) {
            ([rows @ .., words], [scale_rows @ .., groups], [expected @ .., n_in])
                if rows == expected && scale_rows == expected =>
            {
                (i64::from(*words), i64::from(*groups), i64::from(*n_in))
            }
            _ => {
                return Err(LoadError::WrongShape {
                    name: name.to_owned(),
                    expected: shape.to_vec(),
                    got: words.to_vec(),
                });
            }
        };
        let unsupported =
            |message: String| LoadError::UnsupportedQuantization { name: name.to_owned(), message };
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
    /// `x @ weight.T` for `x` `[T, n_in]`.
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Plain { weight } => ops::matmul(x, weight.transpose()?),
            Self::Quantized { weight, scales, biases, grouping: Grouping { group_size, bits } } => {
                ops::quantized_matmul(x, weight, scales, biases, true, *group_size, *bits)
            }
            Self::Micro(micro) => micro.forward(x),
            Self::Packed(packed) => packed.forward(x),
        }
    }

    /// The rows at `idx`, dequantized.
    pub(crate) fn rows(&self, idx: &Array) -> Result<Array> {
        match self {
            Self::Plain { weight } => weight.take_axis(idx, 0),
            Self::Quantized { weight, scales, biases, grouping: Grouping { group_size, bits } } => {
                ops::dequantize(
                    weight.take_axis(idx, 0)?,
                    scales.take_axis(idx, 0)?,
                    &biases.take_axis(idx, 0)?,
                    *group_size,
                    *bits,
                )
            }
            Self::Micro(micro) => micro.with_each(|it| it.take_axis(idx, 0))?.dequantized(),
            Self::Packed(packed) => packed.rows(idx),
        }
    }

    /// The numbers that it stands for. It must not have been packed.
    pub(crate) fn dequantized(&self) -> Result<Array> {
        match self {
            Self::Plain { weight } => Ok(weight.clone()),
            Self::Quantized { weight, scales, biases, grouping: Grouping { group_size, bits } } => {
                ops::dequantize(weight, scales, biases, *group_size, *bits)
            }
            Self::Micro(micro) => micro.dequantized(),
            Self::Packed(_) => unreachable!("matrices are dequantized before they are packed"),
        }
    }

    /// The same with each output multiplied by its number in `scales` `[n_out]`, in the type `dtype`. Quantized numbers
    /// stay as they are.
    pub(crate) fn scaled(&self, scales: &Array, dtype: Dtype) -> Result<Self> {
        let factors = scales.as_dtype(Dtype::Float32)?.expand_dims(-1)?;
        let scaled = |it: &Array| it.as_dtype(Dtype::Float32)?.multiply(&factors)?.as_dtype(dtype);
        Ok(match self {
            Self::Quantized { weight, scales, biases, grouping } => Self::Quantized {
                weight: weight.clone(),
                scales: scaled(scales)?,
                biases: scaled(biases)?,
                grouping: *grouping,
            },
            other => Self::Plain { weight: scaled(&other.dequantized()?)? },
        })
    }

    /// Its outputs at `idx` as a matrix of their own, not a stack.
    pub(crate) fn select(&self, idx: &Array) -> Result<Self> {
        self.with_each(|it| it.take_axis(idx, 0))
    }

    /// Outputs at `idx` of each matrix of a stack.
    pub(crate) fn select_of_each(&self, idx: &Array) -> Result<Self> {
        self.with_each(|it| it.take_axis(idx, -2))
    }

    /// The number of columns of its results.
    #[cfg(cpu_kernels)]
    pub(crate) fn n_outputs(&self) -> usize {
        match self {
            Self::Plain { weight } | Self::Quantized { weight, .. } | Self::Micro(Micro { weight, .. }) => {
                weight.dim(-2).unsigned_abs() as usize
            }
            Self::Packed(packed) => packed.n_outputs(),
        }
    }

    /// The type of activations computed with this matrix.
    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Self::Plain { weight } => weight.dtype(),
            Self::Quantized { scales, .. } => scales.dtype(),
            Self::Micro(_) => Dtype::Bfloat16,
            Self::Packed(_) => Dtype::Float32,
        }
    }

    /// Its outputs in `range` as a matrix of their own.
    pub(crate) fn outputs(&self, range: Range<i32>) -> Result<Self> {
        self.with_each(|it| it.try_index((Ellipsis, range.clone(), ..))?.contiguous())
    }

    /// The number of columns. It must not have been packed.
    pub(crate) fn n_inputs(&self) -> i32 {
        match self {
            Self::Plain { weight } => weight.dim(-1),
            Self::Quantized { scales, grouping, .. } => scales.dim(-1) * grouping.group_size,
            Self::Micro(micro) => micro.n_inputs(),
            Self::Packed(_) => unreachable!("matrices are divided before they are packed"),
        }
    }

    /// The number of inputs that can only stay together, since they have a scale in common.
    pub(crate) fn input_unit(&self) -> i32 {
        match self {
            Self::Plain { .. } | Self::Packed(_) => 1,
            Self::Quantized { grouping, .. } => grouping.group_size,
            Self::Micro(micro) => micro.group_size(),
        }
    }

    /// Its part for the inputs in `range`, whole [units](Self::input_unit), as a matrix of their own.
    pub(crate) fn inputs(&self, range: &Range<i32>) -> Result<Self> {
        let n_inputs = i64::from(self.n_inputs());
        self.with_each(|array| {
            // Words and scales are fewer than inputs.
            let at = |input: i32| {
                let at = i64::from(input) * i64::from(array.dim(-1)) / n_inputs;
                i32::try_from(at).expect("it is at most the array's dimension")
            };
            array.try_index((Ellipsis, at(range.start)..at(range.end)))?.contiguous()
        })
    }

    /// The matrix of `part` of each array; in all of them, a row is an output.
    fn with_each(&self, part: impl Fn(&Array) -> Result<Array>) -> Result<Self> {
        Ok(match self {
            Self::Plain { weight } => Self::Plain { weight: part(weight)? },
            Self::Quantized { weight, scales, biases, grouping } => Self::Quantized {
                weight: part(weight)?,
                scales: part(scales)?,
                biases: part(biases)?,
                grouping: *grouping,
            },
            Self::Micro(micro) => Self::Micro(micro.with_each(part)?),
            Self::Packed(_) => unreachable!("matrices are divided before they are packed"),
        })
    }

    pub(crate) fn as_micro(&self) -> Option<&Micro> {
        match self {
            Self::Micro(micro) => Some(micro),
            _ => None,
        }
    }

    pub(crate) fn as_plain(&self) -> Option<&Array> {
        match self {
            Self::Plain { weight } => Some(weight),
            _ => None,
        }
    }

    /// Words, scales and biases.
    pub(crate) fn as_quantized(&self) -> Option<([&Array; 3], Grouping)> {
        match self {
            Self::Quantized { weight, scales, biases, grouping } => {
                Some(([weight, scales, biases], *grouping))
            }
            _ => None,
        }
    }

    /// The arrays that it consists of; none once it is packed.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        let arrays = match self {
            Self::Plain { weight } => [Some(weight), None, None],
            Self::Quantized { weight, scales, biases, .. } => [Some(weight), Some(scales), Some(biases)],
            Self::Micro(Micro { weight, scales, .. }) => [Some(weight), Some(scales), None],
            Self::Packed(_) => [None; 3],
        };
        arrays.into_iter().flatten()
    }
}

impl Linear {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        let mut y = self.matrix.forward(x)?;
        if let Some(low_rank) = &self.low_rank {
            y = y.add(low_rank.forward(x)?.as_dtype(y.dtype())?)?;
        }
        match &self.bias {
            Some(bias) => y.add(bias),
            None => Ok(y),
        }
    }

    /// Whether there is nothing but a matrix.
    #[cfg(cpu_kernels)]
    pub(crate) fn is_matrix(&self) -> bool {
        self.bias.is_none() && self.low_rank.is_none()
    }

    #[cfg(cpu_kernels)]
    pub(crate) fn n_outputs(&self) -> usize {
        self.matrix.n_outputs()
    }

    /// Its outputs at `idx` as a layer of their own.
    pub(crate) fn select(&self, idx: &Array) -> Result<Self> {
        let bias = self.bias.as_ref().map(|it| it.take_axis(idx, 0)).transpose()?;
        let low_rank = self.low_rank.as_ref().map(|it| it.select(idx)).transpose()?;
        Ok(Self { matrix: self.matrix.select(idx)?, low_rank, bias })
    }

    /// Its part for the inputs in `range`, whole [units](Matrix::input_unit). One of the parts keeps the bias.
    pub(crate) fn inputs(&self, range: &Range<i32>, keeps_bias: bool) -> Result<Self> {
        let low_rank = self.low_rank.as_ref().map(|it| it.inputs(range.clone())).transpose()?;
        let bias = self.bias.clone().filter(|_| keeps_bias);
        Ok(Self { matrix: self.matrix.inputs(range)?, low_rank, bias })
    }

    /// Its outputs in `range` as a layer of their own.
    pub(crate) fn outputs(&self, range: Range<i32>) -> Result<Self> {
        let bias = self.bias.as_ref().map(|it| it.try_index(range.clone())).transpose()?;
        let low_rank = self.low_rank.as_ref().map(|it| it.outputs(range.clone())).transpose()?;
        Ok(Self { matrix: self.matrix.outputs(range)?, low_rank, bias })
    }
}
