//! A short convolution of each channel over a token and those before it: [`Convolution`].

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result, ops};

use crate::LoadError;
use crate::weights::{Piece, Visit};

pub(crate) struct Convolution {
    pub(crate) weight: Array,       // [n_channels, n_kernel]
    pub(crate) bias: Option<Array>, // [n_channels]
}

impl Convolution {
    /// Rows `x` `[n, n_channels]` after those that are held of the tokens before, or zeros before the first token.
    pub(crate) fn inputs(&self, held: Option<&Array>, x: &Array) -> Result<Array> {
        let held = held
            .map_or_else(|| ops::zeros_dtype(&[self.n_kept(), x.dim(1)], x.dtype()), |it| Ok(it.clone()))?;
        ops::concatenate(&[&held, x], 0)
    }

    /// The results `[n, n_channels]` of [`Self::inputs`].
    pub(crate) fn forward(&self, inputs: &Array) -> Result<Array> {
        let n = inputs.dim(0) - self.n_kept();
        let term = |i: i32| inputs.try_index((i..i + n, ..))?.multiply(self.weight.try_index((.., i))?);
        let mut sum = term(0)?;
        for i in 1..=self.n_kept() {
            sum = sum.add(term(i)?)?;
        }
        match &self.bias {
            Some(bias) => sum.add(bias),
            None => Ok(sum),
        }
    }

    /// What to hold of [`Self::inputs`] after the first `n` rows.
    pub(crate) fn held_after(&self, inputs: &Array, n: i32) -> Result<Array> {
        inputs.try_index((n..n + self.n_kept(), ..))?.contiguous()
    }

    /// Bytes of what is held.
    pub(crate) fn n_held_bytes(&self) -> u64 {
        4 * u64::from((self.weight.dim(0) * self.n_kept()).unsigned_abs())
    }

    /// The rows of earlier tokens that it looks back at.
    fn n_kept(&self) -> i32 {
        self.weight.dim(1) - 1
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        visit(Piece::Vector(&mut self.weight))?;
        self.bias.as_mut().map_or(Ok(()), |it| visit(Piece::Vector(it)))
    }
}
