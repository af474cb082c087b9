//! What each layer gets of a token beside the residual: [`TokenInputs`] and [`TokenGate`], as in Gemma 4's small models.

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, error::Result};
use runabout_kernels::Activation;

use super::mlp::activate;
use super::norm::Norm;
use crate::LoadError;
use crate::weights::{Linear, Matrix, Piece, Visit};

/// Makes a row of each token for each layer.
pub(crate) struct TokenInputs {
    /// Rows of all layers.
    pub(crate) embedding: Matrix,
    pub(crate) embedding_scale: f32,
    /// Rows of all layers from the model's own embedding.
    pub(crate) projection: Linear,
    pub(crate) projection_scale: f32,
    /// Of each layer's projected row.
    pub(crate) norm: Norm,
    /// The sum of both is multiplied by this.
    pub(crate) scale: f32,
}

/// Adds `norm(projection(gelu(gate(x)) * row))` to `x`.
pub(crate) struct TokenGate {
    pub(crate) gate: Linear,
    pub(crate) projection: Linear,
    pub(crate) norm: Norm,
}

impl TokenInputs {
    /// The rows `[T, n_layers, n]` of `tokens` `[T]`, whose embeddings are `h` `[T, hidden_size]`.
    pub(crate) fn forward(&self, tokens: &Array, h: &Array) -> Result<Array> {
        let shape = [h.dim(0), -1, self.norm.weight.dim(0)];
        let of = |it: f32| Array::from_f32(it).as_dtype(h.dtype());
        let rows = self.embedding.rows(tokens)?.as_dtype(h.dtype())?.multiply(of(self.embedding_scale)?)?;
        let projected = self.projection.forward(h)?.multiply(of(self.projection_scale)?)?;
        let projected = self.norm.forward(&projected.reshape(&shape)?)?;
        projected.add(rows.reshape(&shape)?)?.multiply(of(self.scale)?)
    }
}

impl TokenGate {
    /// Computes `[T, hidden_size]` from `[T, hidden_size]` and the rows of [`TokenInputs`].
    pub(crate) fn forward(&self, x: &Array, inputs: &Array, layer_idx: usize) -> Result<Array> {
        let layer_idx = i32::try_from(layer_idx).unwrap_or(i32::MAX);
        let row = inputs.try_index((.., layer_idx, ..))?;
        let gated = activate(Activation::GeluTanh, &self.gate.forward(x)?)?.multiply(row)?;
        x.add(self.norm.forward(&self.projection.forward(&gated)?)?)
    }

    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        self.gate.visit(visit)?;
        self.projection.visit(visit)?;
        self.norm.visit(visit)
    }
}

impl TokenInputs {
    pub(crate) fn visit(&mut self, visit: &mut Visit<'_>) -> std::result::Result<(), LoadError> {
        visit(Piece::Matrix(&mut self.embedding))?;
        self.projection.visit(visit)?;
        self.norm.visit(visit)
    }
}
