//! A decoder as a checkpoint describes it: [`Network`].

use mlx_rs::{Array, Dtype, error::Result, ops};

use crate::block::Block;
use crate::parts::{Norm, TokenInputs};
use crate::vocabulary_part::VocabularyPart;
use crate::weights::Matrix;

/// What an architecture makes of a model folder. Its weights have been checked, but not read yet.
pub(crate) struct Network {
    pub(crate) embedding: Matrix,
    /// Embeddings are multiplied by this.
    pub(crate) embedding_scale: f32,
    /// What each layer gets of a token beside its embedding.
    pub(crate) token_inputs: Option<TokenInputs>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Norm,
    /// The output matrix; `None` if it is the embedding.
    pub(crate) head: Option<Matrix>,
    pub(crate) logits: Logits,
    pub(crate) vocabulary_size: usize,
    /// The tokens whose rows the embedding and the output matrix have; `None` if they have all.
    pub(crate) vocabulary_part: Option<VocabularyPart>,
    /// The most tokens that a sequence may have.
    pub(crate) context_length: usize,
}

/// What happens to the output matrix's results.
#[derive(Clone, Copy)]
pub(crate) struct Logits {
    pub(crate) scale: f32,
    /// Logits `l` become `c * tanh(l / c)`.
    pub(crate) softcap: Option<f32>,
}

impl Default for Logits {
    fn default() -> Self {
        Self { scale: 1.0, softcap: None }
    }
}

impl Logits {
    /// The logits of the results `[n, vocab_size]` of the output matrix.
    pub(crate) fn of(self, results: Array) -> Result<Array> {
        let results = scaled(results, self.scale)?;
        let Some(softcap) = self.softcap else { return Ok(results) };
        let softcap = Array::from_f32(softcap).as_dtype(results.dtype())?;
        ops::tanh(results.divide(&softcap)?)?.multiply(softcap)
    }
}

/// `x * scale`, in the type of `x`.
pub(crate) fn scaled(x: Array, scale: f32) -> Result<Array> {
    if scale.to_bits() == 1.0_f32.to_bits() {
        return Ok(x);
    }
    x.multiply(Array::from_f32(scale).as_dtype(x.dtype())?)
}

/// The type of activations: that of the embedding, unless a float32 norm turns it into float32.
pub(crate) fn activation_type(embedding: &Matrix, norm: &Norm) -> Dtype {
    if norm.weight.dtype() == Dtype::Float32 { Dtype::Float32 } else { embedding.dtype() }
}
