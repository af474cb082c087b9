//! Steps of a layer that can be fused: norms and projections with what follows them.
//!
//! Each is built from the checkpoint's own parts, and is either a sequence of MLX operations or one operation of the
//! CPU kernels over a packed copy of its weights. Both have the same inputs and outputs, so the decoder is written
//! once, and one step may use MLX while its neighbour uses the kernels.

use mlx_rs::{Array, error::Result, ops};

use crate::LoadError;
use crate::cpu_kernels::{Joined, Packed, PackedLinear};
use crate::linear::{Linear, Matrix};
use crate::norm::RmsNorm;
use crate::weights::Weights;

/// `residual + linear(x)`.
pub(crate) enum ResidualLinear {
    Mlx(Linear),
    Packed(PackedLinear),
}

impl ResidualLinear {
    pub(crate) fn new(weights: &Weights, linear: Linear) -> std::result::Result<Self, LoadError> {
        Ok(match weights.kernels() {
            Some(kernels) => Self::Packed(kernels.linear(None, &[&linear], Joined::Stacked)?),
            None => Self::Mlx(linear),
        })
    }

    pub(crate) fn forward(&self, x: &Array, residual: &Array) -> Result<Array> {
        match self {
            Self::Mlx(linear) => residual.add(linear.forward(x)?),
            Self::Packed(linear) => linear.forward(x, Some(residual)),
        }
    }
}

/// `silu(gate_proj(y)) * up_proj(y)` of `y = norm(x)`.
pub(crate) enum NormGateUp {
    Mlx { norm: RmsNorm, gate_proj: Linear, up_proj: Linear },
    Packed(PackedLinear),
}

impl NormGateUp {
    pub(crate) fn new(
        weights: &Weights,
        norm: RmsNorm,
        gate_proj: Linear,
        up_proj: Linear,
    ) -> std::result::Result<Self, LoadError> {
        // The kernels do not support a gate with a bias, which is rare.
        let has_bias = gate_proj.bias.is_some() || up_proj.bias.is_some();
        Ok(match weights.kernels() {
            Some(kernels) if !has_bias => {
                Self::Packed(kernels.linear(Some(&norm), &[&gate_proj, &up_proj], Joined::SiluGated)?)
            }
            _ => Self::Mlx { norm, gate_proj, up_proj },
        })
    }

    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Mlx { norm, gate_proj, up_proj } => {
                let x = norm.forward(x)?;
                let gate = gate_proj.forward(&x)?;
                let up = up_proj.forward(&x)?;
                // mlx-rs's own silu is a compiled function; on a CPU it calls the C++ compiler at run time.
                let silu = gate.multiply(ops::sigmoid(&gate)?)?;
                silu.multiply(up)
            }
            Self::Packed(linear) => linear.forward(x, None),
        }
    }
}

/// Token embeddings.
pub(crate) enum Embedding {
    Mlx(Matrix),
    Packed(Packed),
}

impl Embedding {
    pub(crate) fn new(weights: &Weights, matrix: Matrix) -> std::result::Result<Self, LoadError> {
        Ok(match weights.kernels() {
            Some(kernels) => Self::Packed(kernels.pack(&[&matrix], Joined::Stacked)?),
            None => Self::Mlx(matrix),
        })
    }

    /// Looks up `[T, n_dims]` for token ids `[T]`, u32.
    pub(crate) fn forward(&self, tokens: &Array) -> Result<Array> {
        match self {
            Self::Mlx(matrix) => matrix.rows(tokens),
            Self::Packed(matrix) => matrix.rows(tokens),
        }
    }

    /// The last norm, then the embedding as output matrix. Many models share the two.
    pub(crate) fn as_output(&self, norm: RmsNorm) -> std::result::Result<NormOutput, LoadError> {
        Ok(match self {
            Self::Mlx(matrix) => NormOutput::Mlx { norm, matrix: matrix.clone() },
            Self::Packed(matrix) => NormOutput::Packed(matrix.after(&norm)?),
        })
    }
}

/// The last norm and the output matrix. Gives logits.
pub(crate) enum NormOutput {
    Mlx { norm: RmsNorm, matrix: Matrix },
    Packed(PackedLinear),
}

impl NormOutput {
    pub(crate) fn new(
        weights: &Weights,
        norm: RmsNorm,
        matrix: Matrix,
    ) -> std::result::Result<Self, LoadError> {
        Ok(match weights.kernels() {
            Some(kernels) => Self::Packed(kernels.pack(&[&matrix], Joined::Stacked)?.after(&norm)?),
            None => Self::Mlx { norm, matrix },
        })
    }

    pub(crate) fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            Self::Mlx { norm, matrix } => matrix.forward(&norm.forward(x)?),
            Self::Packed(linear) => linear.forward(x, None),
        }
    }
}
