//! Linear layers of the same shape, of which each row uses one: [`Stack`].

use std::ops::Range;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result, ops};

use super::matrix::{Grouping, Linear, Matrix};
use super::piece::{Piece, Visit};
use crate::LoadError;

/// One linear layer for each expert.
pub(crate) struct Stack {
    pub(crate) matrix: Matrix,      // [n_experts, n_out, n_in]
    pub(crate) bias: Option<Array>, // [n_experts, n_out]
}

impl Stack {
    /// Stacks linear layers. Fails with the word for what differs among them.
    pub(crate) fn of(layers: &[Linear]) -> std::result::Result<Self, &'static str> {
        let stacked = |arrays: Vec<&Array>| ops::stack(&arrays, 0).map_err(|_| "shapes");
        let biases: Option<Vec<_>> = layers.iter().map(|it| it.bias.as_ref()).collect();
        let bias = biases.map(stacked).transpose()?;
        let plain: Option<Vec<_>> = layers.iter().map(|it| it.matrix.as_plain()).collect();
        if let Some(weights) = plain {
            return Ok(Self { matrix: Matrix::Plain { weight: stacked(weights)? }, bias });
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
        Ok(Self { matrix, bias })
    }

    /// Multiplies `x` `[..., 1, n_in]` by the layers of `experts`, whose shape broadcasts with the dimensions of `x`
    /// before the last two. `is_sorted` says that `experts` ascend.
    pub(crate) fn forward(&self, x: &Array, experts: &Array, is_sorted: bool) -> Result<Array> {
        let y = match &self.matrix {
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
            Matrix::Mxfp4 { .. } | Matrix::Packed(_) => {
                unreachable!("stacks are read before they are used, and packed by whole networks")
            }
        };
        match &self.bias {
            Some(bias) => y.add(bias.take_axis(experts, 0)?.expand_dims(-2)?),
            None => Ok(y),
        }
    }

    /// Its outputs in `range` as layers of their own.
    pub(crate) fn outputs(&self, range: Range<i32>) -> Result<Self> {
        let bias = self.bias.as_ref().map(|it| it.try_index((.., range.clone()))).transpose()?;
        Ok(Self { matrix: self.matrix.outputs(range)?, bias })
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        visit(Piece::Stack(&mut self.matrix))?;
        self.bias.as_mut().map_or(Ok(()), |it| visit(Piece::Vector(it)))
    }
}
