//! The KV cache of one layer of one slot: grows in steps, can be cut back.
//!
//! Either arrays of MLX, or the CPU kernels' own buffers; attention knows which it made.

use mlx_rs::error::Result;
use mlx_rs::ops::indexing::{TryIndexMutOp, TryIndexOp};
use mlx_rs::{Array, ops};

use crate::cpu_kernels::InPlaceCache;

/// Room is made for this many tokens at a time, as in mlx_lm, so that most appends write in place.
const STEP_TOKENS: i32 = 256;

pub(crate) enum KvCache {
    Arrays(ArrayCache),
    #[cfg_attr(not(cpu_kernels), expect(dead_code, reason = "only the kernels make one"))]
    InPlace(InPlaceCache),
}

impl KvCache {
    pub(crate) fn arrays_mut(&mut self) -> &mut ArrayCache {
        match self {
            Self::Arrays(cache) => cache,
            Self::InPlace(_) => unreachable!("attention gets the caches that it made"),
        }
    }

    #[cfg_attr(not(cpu_kernels), expect(dead_code, reason = "only the kernels ask"))]
    pub(crate) fn in_place_mut(&mut self) -> &mut InPlaceCache {
        match self {
            Self::InPlace(cache) => cache,
            Self::Arrays(_) => unreachable!("attention gets the caches that it made"),
        }
    }

    /// Forgets all but the first `n_tokens`. The memory stays for what comes next.
    pub(crate) fn truncate(&mut self, n_tokens: usize) {
        match self {
            Self::Arrays(cache) => cache.truncate(n_tokens),
            Self::InPlace(cache) => cache.truncate(n_tokens),
        }
    }

    /// Forgets the last `n_tokens`.
    pub(crate) fn forget(&mut self, n_tokens: usize) {
        if n_tokens > 0 {
            self.truncate(self.n_tokens().saturating_sub(n_tokens));
        }
    }

    fn n_tokens(&self) -> usize {
        match self {
            Self::Arrays(cache) => usize::try_from(cache.n_tokens).unwrap_or(0),
            Self::InPlace(cache) => cache.n_tokens(),
        }
    }

    /// A cache of its own that begins with this one's first `n_tokens`. All that was appended has been evaluated.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Result<Self> {
        match self {
            Self::Arrays(cache) => Ok(Self::Arrays(cache.copy_prefix(n_tokens))),
            Self::InPlace(cache) => cache.copy_prefix(n_tokens).map(Self::InPlace),
        }
    }

    /// What must be evaluated for the cache to hold all that was appended.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Array> {
        let (arrays, written) = match self {
            Self::Arrays(cache) => (cache.kv.as_ref(), None),
            Self::InPlace(cache) => (None, cache.written()),
        };
        arrays.into_iter().flat_map(|(k, v)| [k, v]).chain(written)
    }

    /// What was pending has been evaluated.
    pub(crate) fn settle(&mut self) {
        if let Self::InPlace(cache) = self {
            cache.settle();
        }
    }

    /// Bytes beyond those that MLX counts.
    pub(crate) fn n_own_bytes(&self) -> u64 {
        match self {
            Self::Arrays(_) => 0,
            Self::InPlace(cache) => cache.n_bytes(),
        }
    }
}

#[derive(Default)]
pub(crate) struct ArrayCache {
    n_tokens: i32,
    /// Keys and values, `[1, n_kv_heads, capacity, head_dim]` each.
    kv: Option<(Array, Array)>,
}

impl ArrayCache {
    /// Tokens held, which is the position of the next one.
    pub(crate) fn n_tokens(&self) -> i32 {
        self.n_tokens
    }

    /// Appends `[1, n_kv_heads, L, head_dim]` and returns all that is held, in that layout.
    pub(crate) fn update_and_fetch(&mut self, keys: &Array, values: &Array) -> Result<(Array, Array)> {
        let start = self.n_tokens;
        let end = start + keys.dim(2);
        let (all_keys, all_values) = match self.kv.take() {
            Some((k, v)) if k.dim(2) >= end => (k, v),
            held => (
                grow(held.as_ref().map(|it| &it.0), start, keys)?,
                grow(held.as_ref().map(|it| &it.1), start, values)?,
            ),
        };
        let (all_keys, all_values) = self.kv.insert((all_keys, all_values));
        all_keys.try_index_mut((.., .., start..end, ..), keys)?;
        all_values.try_index_mut((.., .., start..end, ..), values)?;
        self.n_tokens = end;
        Ok((all_keys.try_index((.., .., ..end, ..))?, all_values.try_index((.., .., ..end, ..))?))
    }

    /// MLX's arrays are values: both caches share them until one appends.
    fn copy_prefix(&self, n_tokens: usize) -> Self {
        let mut copy = Self { n_tokens: self.n_tokens, kv: self.kv.clone() };
        copy.truncate(n_tokens);
        copy
    }

    fn truncate(&mut self, n_tokens: usize) {
        let n_tokens = i32::try_from(n_tokens).unwrap_or(i32::MAX);
        debug_assert!(n_tokens <= self.n_tokens);
        self.n_tokens = self.n_tokens.min(n_tokens);
    }
}

/// The first `n_held` tokens of `held`, followed by room for those of `new`.
fn grow(held: Option<&Array>, n_held: i32, new: &Array) -> Result<Array> {
    let &[n_batch, n_heads, n_new, head_dim] = new.shape() else {
        unreachable!("keys and values have four dimensions");
    };
    let capacity = ((n_held + n_new - 1) / STEP_TOKENS + 1) * STEP_TOKENS;
    let room = ops::zeros_dtype(&[n_batch, n_heads, capacity - n_held, head_dim], new.dtype())?;
    match held {
        Some(held) if n_held > 0 => ops::concatenate(&[&held.try_index((.., .., ..n_held, ..))?, &room], 2),
        _ => Ok(room),
    }
}
