//! Keys and values of one layer of one slot, in MLX arrays: [`ArrayCache`].

use std::ops::Range;

use mlx_rs::error::Result;
use mlx_rs::ops::indexing::{TryIndexMutOp, TryIndexOp};
use mlx_rs::{Array, ops, transforms};

use super::quantized_kv::KvQuantization;

/// A cache grows by this many tokens at a time, as in mlx_lm, so that most appends write in place.
pub(crate) const STEP_TOKENS: i32 = 256;

/// What attention stores for each token, in one array per part: keys and values, or the parts of their quantized
/// form.
pub(crate) struct ArrayCache {
    n_tokens: i32,
    /// How keys and values are quantized; `None` stores them in the type of the activations.
    quantization: Option<KvQuantization>,
    /// `[1, n_kv_heads, capacity, n]` each; none before the first token.
    parts: Vec<Array>,
}

impl ArrayCache {
    /// An empty cache.
    pub(crate) fn new(quantization: Option<KvQuantization>) -> Self {
        Self { n_tokens: 0, quantization, parts: Vec::new() }
    }

    pub(crate) fn quantization(&self) -> Option<KvQuantization> {
        self.quantization
    }

    /// The number of tokens held, which is the position of the next one.
    pub(crate) fn n_tokens(&self) -> i32 {
        self.n_tokens
    }

    /// Appends one array `[1, n_kv_heads, L, n]` per part.
    pub(crate) fn append<const N: usize>(&mut self, new: &[Array; N]) -> Result<()> {
        let start = self.n_tokens;
        let end = start + new.first().map_or(0, |it| it.dim(2));
        if self.n_room() < end {
            self.parts = new
                .iter()
                .enumerate()
                .map(|(idx, new)| grow(self.parts.get(idx), start, new))
                .collect::<Result<_>>()?;
        }
        for (part, new) in self.parts.iter_mut().zip(new) {
            part.try_index_mut((.., .., start..end, ..), new)?;
        }
        self.n_tokens = end;
        Ok(())
    }

    /// All that it holds, for each of its `N` parts. Something must have been appended before.
    pub(crate) fn held<const N: usize>(&self) -> Result<[Array; N]> {
        let held = self.parts_of(0..self.n_tokens)?;
        Ok(held.try_into().unwrap_or_else(|_| unreachable!("a cache gets as many parts each time")))
    }

    /// The arrays, one per part.
    pub(crate) fn parts(&self) -> &[Array] {
        &self.parts
    }

    /// Each part of the given tokens.
    pub(crate) fn parts_of(&self, tokens: Range<i32>) -> Result<Vec<Array>> {
        self.parts.iter().map(|it| it.try_index((.., .., tokens.clone(), ..))).collect()
    }

    pub(crate) fn n_room(&self) -> i32 {
        self.parts.first().map_or(0, |it| it.dim(2))
    }

    /// MLX arrays are values, so both caches share memory until one of them appends.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Self {
        let mut copy = Self { parts: self.parts.clone(), ..*self };
        copy.truncate(n_tokens);
        copy
    }

    pub(crate) fn fit(&mut self) -> Result<()> {
        let parts = std::mem::take(&mut self.parts);
        if self.n_tokens > 0 {
            let held = |it: Array| it.try_index((.., .., ..self.n_tokens, ..))?.contiguous();
            self.parts = parts.into_iter().map(held).collect::<Result<_>>()?;
            transforms::eval(&self.parts)?;
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, n_tokens: usize) {
        let n_tokens = i32::try_from(n_tokens).unwrap_or(i32::MAX);
        debug_assert!(n_tokens <= self.n_tokens);
        self.n_tokens = self.n_tokens.min(n_tokens);
    }
}

/// The first `n_held` tokens of `held`, followed by room for those of `new`.
fn grow(held: Option<&Array>, n_held: i32, new: &Array) -> Result<Array> {
    let &[n_batch, n_heads, n_new, n] = new.shape() else {
        unreachable!("parts of a cache have four dimensions");
    };
    let capacity = ((n_held + n_new - 1) / STEP_TOKENS + 1) * STEP_TOKENS;
    let room = ops::zeros_dtype(&[n_batch, n_heads, capacity - n_held, n], new.dtype())?;
    match held {
        Some(held) if n_held > 0 => ops::concatenate(&[&held.try_index((.., .., ..n_held, ..))?, &room], 2),
        _ => Ok(room),
    }
}
