//! What a fine-tuning adds to a linear layer: [`LowRank`].

use std::ops::Range;

use mlx_rs::ops::indexing::{Ellipsis, TryIndexOp};
use mlx_rs::{Array, error::Result, ops};

/// `x @ down.T @ up.T`, of one layer or of a stack of them. It is computed beside the layer's matrix, so that a quantized
/// matrix stays as it is.
#[derive(Clone)]
pub(crate) struct LowRank {
    pub(crate) down: Array, // [.., rank, n_in]
    pub(crate) up: Array,   // [.., n_out, rank]
}

impl LowRank {
    /// `[T, n_out]` from `[T, n_in]`.
    pub(super) fn forward(&self, x: &Array) -> Result<Array> {
        x.matmul(self.down.swap_axes(-1, -2)?)?.matmul(self.up.swap_axes(-1, -2)?)
    }

    /// The same by the layers that `experts` names, as in [`super::Stack::forward`].
    pub(super) fn forward_of(&self, x: &Array, experts: &Array, is_sorted: bool) -> Result<Array> {
        let inner = ops::gather_mm(x, self.down.swap_axes(-1, -2)?, None, experts, is_sorted)?;
        ops::gather_mm(inner, self.up.swap_axes(-1, -2)?, None, experts, is_sorted)
    }

    /// Of the outputs in `range`.
    pub(super) fn outputs(&self, range: Range<i32>) -> Result<Self> {
        Ok(Self { down: self.down.clone(), up: self.up.try_index((Ellipsis, range, ..))? })
    }

    /// Of the inputs in `range`.
    pub(super) fn inputs(&self, range: Range<i32>) -> Result<Self> {
        Ok(Self { down: self.down.try_index((Ellipsis, range))?, up: self.up.clone() })
    }

    /// Of the outputs at `idx`.
    pub(super) fn select(&self, idx: &Array) -> Result<Self> {
        Ok(Self { down: self.down.clone(), up: self.up.take_axis(idx, -2)? })
    }

    /// What is added to the matrix.
    pub(super) fn product(&self) -> Result<Array> {
        self.up.matmul(&self.down)
    }

    pub(super) fn arrays_mut(&mut self) -> [&mut Array; 2] {
        [&mut self.down, &mut self.up]
    }
}
