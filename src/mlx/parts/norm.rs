//! Norms of rows: [`Norm`].

use mlx_rs::{Array, error::Result, fast};

use crate::LoadError;
use crate::weights::{Piece, Visit};

/// A norm over the last dimension, with a weight for each of its numbers.
#[derive(Clone)]
pub(crate) struct Norm {
    pub(crate) kind: NormKind,
    pub(crate) weight: Array, // [n]
    pub(crate) eps: f32,
}

#[derive(Clone)]
pub(crate) enum NormKind {
    /// `x / sqrt(mean(x^2) + eps) * weight`.
    Rms,
    /// `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias`.
    Layer {
        bias: Array, // [n]
    },
}

impl Norm {
    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        match &self.kind {
            NormKind::Rms => fast::rms_norm(x, Some(&self.weight), self.eps),
            NormKind::Layer { bias } => fast::layer_norm(x, Some(&self.weight), Some(bias), self.eps),
        }
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        visit(Piece::Vector(&mut self.weight))?;
        match &mut self.kind {
            NormKind::Rms => Ok(()),
            NormKind::Layer { bias } => visit(Piece::Vector(bias)),
        }
    }
}
