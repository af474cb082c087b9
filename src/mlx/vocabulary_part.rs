//! The rows of embedding and output matrix that one process of several has: [`VocabularyPart`].

use std::ops::Range;

use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype, error::Result, ops};

use crate::group::Group;
use crate::weights::Matrix;

/// This process's part of a vocabulary.
pub(crate) struct VocabularyPart {
    pub(crate) group: Group,
    pub(crate) tokens: Range<i32>,
    /// The tokens of each part but the last, which may have fewer.
    pub(crate) n_each: i32,
    pub(crate) n_all: i32,
}

impl VocabularyPart {
    /// The embeddings `[T, hidden_size]` of tokens `[T]`, of which `embedding` has this part's.
    pub(crate) fn rows(&self, embedding: &Matrix, tokens: &Array) -> Result<Array> {
        let int = |it: i32| Array::from_int(it);
        let idx = tokens.as_dtype(Dtype::Int32)?.subtract(int(self.tokens.start))?;
        let n = self.tokens.end - self.tokens.start;
        let is_here = idx.ge(int(0))?.logical_and(idx.lt(int(n))?)?;
        let idx = ops::clip(&idx, (&int(0), &int(n - 1)))?.as_dtype(tokens.dtype())?;
        let rows = embedding.rows(&idx)?;
        self.group.sum(&rows.multiply(is_here.expand_dims(-1)?.as_dtype(rows.dtype())?)?)
    }

    /// The logits `[n, vocab_size]` of all tokens from those of this part's.
    pub(crate) fn all_logits(&self, logits: &Array) -> Result<Array> {
        let (n, n_here) = (logits.dim(0), logits.dim(1));
        let padded = ops::pad(logits, &[(0, 0), (0, self.n_each - n_here)], None, None)?;
        let all = self.group.gather(&padded)?; // [n_parts * n, n_each]
        let all = all.reshape(&[-1, n, self.n_each])?.swap_axes(0, 1)?.reshape(&[n, -1])?;
        all.try_index((.., ..self.n_all))?.contiguous()
    }
}
