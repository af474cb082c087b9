//! Linear layers of the same shape, of which each row uses one: [`Stack`].

use std::ops::Range;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result, ops};

use super::low_rank::LowRank;
use super::matrix::{Grouping, Linear, Matrix};
use super::micro::Micro;
use super::piece::{Piece, Visit};
use crate::LoadError;

/// One linear layer for each expert.
pub(crate) struct Stack {
    pub(crate) matrix: Matrix, // [n_experts, n_out, n_in]
    pub(crate) low_rank: Option<LowRank>,
    pub(crate) bias: Option<Array>, // [n_experts, n_out]
}

impl Stack {
    /// Layers that are not quantized and have no bias, from `[n_experts, n_out, n_in]`.
    pub(crate) fn plain(weight: Array) -> Self {
        Self { matrix: Matrix::Plain { weight }, low_rank: None, bias: None }
    }

    /// Stacks linear layers. Fails with the word for what differs among them.
    pub(crate) fn of(layers: &[Linear]) -> std::result::Result<Self, &'static str> {
        let stacked = |arrays: Vec<&Array>| ops::stack(&arrays, 0).map_err(|_| "shapes");
        let biases: Option<Vec<_>> = layers.iter().map(|it| it.bias.as_ref()).collect();
        let bias = biases.map(stacked).transpose()?;
        let plain: Option<Vec<_>> = layers.iter().map(|it| it.matrix.as_plain()).collect();
        if let Some(weights) = plain {
            let matrix = Matrix::Plain { weight: stacked(weights)? };
            return Ok(Self { matrix, low_rank: None, bias });
        }
        let micro: Option<Vec<_>> = layers.iter().map(|it| it.matrix.as_micro()).collect();
        if let Some(micro) = micro {
            let format = micro.first().ok_or("numbers")?.format;
            if micro.iter().any(|it| it.format != format) {
                return Err("quantizations");
            }
            let weight = stacked(micro.iter().map(|it| &it.weight).collect())?;
            let scales = stacked(micro.iter().map(|it| &it.scales).collect())?;
            return Ok(Self {
                matrix: Matrix::Micro(Micro { format, weight, scales }),
                low_rank: None,
                bias,
            });
        }
        let quantized: Option<Vec<_>> = layers.iter().map(|it| it.matrix.as_quantized()).collect();
        let quantized = quantized.ok_or("types")?;
        let grouping = quantized.first().ok_or("numbers")?.1;
        if quantized.iter().any(|it| it.1 != grouping) {
            return Err("quantizations");
        }
        let [weight, scales, biases] =
            [0, 1, 2].map(|i| stacked(quantized.iter().map(|it| it.0[i]).collect()));
        let matrix = Matrix::Quantized { weight: weight?, scales: scales?, biases: biases?, grouping };
        Ok(Self { matrix, low_rank: None, bias })
    }

    /// Multiplies `x` `[..., 1, n_in]` by the layers of `experts`, whose shape broadcasts with the dimensions of `x`
    /// before the last two. `is_sorted` says that `experts` ascend.
    pub(crate) fn forward(&self, x: &Array, experts: &Array, is_sorted: bool) -> Result<Array> {
        let mut y = match &self.matrix {
            Matrix::Plain { weight } => {
                ops::gather_mm(x, weight.swap_axes(-1, -2)?, None, experts, is_sorted)?
            }
            Matrix::Quantized { weight, scales, biases, grouping: Grouping { group_size, bits } } => {
                ops::gather_qmm(
                    x,
                    weight,
                    scales,
                    biases,
                    None,
                    experts,
                    true,
                    *group_size,
                    *bits,
                    is_sorted,
                )?
            }
            Matrix::Micro(micro) => micro.forward_of(x, experts, is_sorted)?,
            Matrix::Packed(_) => {
                unreachable!("stacks are packed by whole networks")
            }
        };
        if let Some(low_rank) = &self.low_rank {
            y = y.add(low_rank.forward_of(x, experts, is_sorted)?.as_dtype(y.dtype())?)?;
        }
        match &self.bias {
            Some(bias) => y.add(bias.take_axis(experts, 0)?.expand_dims(-2)?),
            None => Ok(y),
        }
    }

    /// Its outputs in `range` as layers of their own.
    pub(crate) fn outputs(&self, range: Range<i32>) -> Result<Self> {
        let bias = self.bias.as_ref().map(|it| it.try_index((.., range.clone()))).transpose()?;
        let low_rank = self.low_rank.as_ref().map(|it| it.outputs(range.clone())).transpose()?;
        Ok(Self { matrix: self.matrix.outputs(range)?, low_rank, bias })
    }

    /// Its part for the inputs in `range`, whole [units](Matrix::input_unit). One of the parts keeps the bias.
    pub(crate) fn inputs(&self, range: &Range<i32>, keeps_bias: bool) -> Result<Self> {
        let low_rank = self.low_rank.as_ref().map(|it| it.inputs(range.clone())).transpose()?;
        let bias = self.bias.clone().filter(|_| keeps_bias);
        Ok(Self { matrix: self.matrix.inputs(range)?, low_rank, bias })
    }

    /// Its outputs at `idx` as layers of their own.
    pub(crate) fn select(&self, idx: &Array) -> Result<Self> {
        let bias = self.bias.as_ref().map(|it| it.take_axis(idx, -1)).transpose()?;
        let low_rank = self.low_rank.as_ref().map(|it| it.select(idx)).transpose()?;
        Ok(Self { matrix: self.matrix.select_of_each(idx)?, low_rank, bias })
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        visit(Piece::Stack(&mut self.matrix))?;
        let low_rank = self.low_rank.iter_mut().flat_map(LowRank::arrays_mut);
        low_rank.into_iter().try_for_each(|it| visit(Piece::Vector(it)))?;
        self.bias.as_mut().map_or(Ok(()), |it| visit(Piece::Vector(it)))
    }
}
