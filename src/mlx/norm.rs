//! The root-mean-square norm: [`RmsNorm`].

use mlx_rs::{Array, error::Result, fast};

/// `x / sqrt(mean(x^2) + eps) * weight`, row by row.
pub(crate) struct RmsNorm {
    pub(crate) weight: Array, // [n]
    pub(crate) eps: f32,
}

impl RmsNorm {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        fast::rms_norm(x, Some(&self.weight), self.eps)
    }
}
