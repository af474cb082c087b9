//! What a slot holds for a layer: [`LayerState`]. It grows in steps and can be truncated.
//!
//! Keys and values are either in MLX arrays or in the CPU kernels' own buffers. Whatever computes a layer makes and
//! gets its own kind of state. A layer with a window keeps all of its keys and values too, so that it can be truncated
//! to any length.

mod array_cache;
mod quantized_kv;
mod spans;
mod view;

use mlx_rs::Array;
use mlx_rs::error::Result;

use crate::cpu::InPlaceCache;

pub(crate) use array_cache::{ArrayCache, STEP_TOKENS};
pub use quantized_kv::KvBits;
pub(crate) use quantized_kv::KvQuantization;
pub(crate) use spans::SpanRows;
pub(crate) use view::View;

pub(crate) enum LayerState {
    Arrays(ArrayCache),
    InPlace(InPlaceCache),
}

impl LayerState {
    pub(crate) fn arrays_mut(&mut self) -> &mut ArrayCache {
        match self {
            Self::Arrays(cache) => cache,
            Self::InPlace(_) => unreachable!("a layer gets the states that it made"),
        }
    }

    pub(crate) fn arrays(&self) -> &ArrayCache {
        match self {
            Self::Arrays(cache) => cache,
            Self::InPlace(_) => unreachable!("a layer gets the states that it made"),
        }
    }

    #[cfg(cpu_kernels)]
    pub(crate) fn in_place(&self) -> &InPlaceCache {
        match self {
            Self::InPlace(cache) => cache,
            Self::Arrays(_) => unreachable!("a layer gets the states that it made"),
        }
    }

    #[cfg(cpu_kernels)]
    pub(crate) fn in_place_mut(&mut self) -> &mut InPlaceCache {
        match self {
            Self::InPlace(cache) => cache,
            Self::Arrays(_) => unreachable!("a layer gets the states that it made"),
        }
    }

    /// Keeps the first `n_tokens`. The memory stays allocated for later tokens.
    pub(crate) fn truncate(&mut self, n_tokens: usize) {
        match self {
            Self::Arrays(cache) => cache.truncate(n_tokens),
            Self::InPlace(cache) => cache.truncate(n_tokens),
        }
    }

    /// Removes the last `n_tokens`.
    pub(crate) fn forget(&mut self, n_tokens: usize) {
        if n_tokens > 0 {
            self.truncate(self.n_tokens().saturating_sub(n_tokens));
        }
    }

    fn n_tokens(&self) -> usize {
        match self {
            Self::Arrays(cache) => usize::try_from(cache.n_tokens()).unwrap_or(0),
            Self::InPlace(cache) => cache.n_tokens(),
        }
    }

    /// An independent copy of the first `n_tokens`. Everything appended must have been evaluated.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Result<Self> {
        match self {
            Self::Arrays(cache) => Ok(Self::Arrays(cache.copy_prefix(n_tokens))),
            Self::InPlace(cache) => cache.copy_prefix(n_tokens).map(Self::InPlace),
        }
    }

    /// The number of tokens that fit in the allocated memory.
    pub(crate) fn n_room(&self) -> usize {
        match self {
            Self::Arrays(cache) => cache.n_room().unsigned_abs() as usize,
            Self::InPlace(cache) => cache.n_room(),
        }
    }

    /// Frees the memory beyond the tokens held.
    pub(crate) fn fit(&mut self) -> Result<()> {
        match self {
            Self::Arrays(cache) => cache.fit(),
            Self::InPlace(cache) => cache.fit(),
        }
    }

    /// The arrays to evaluate so that the cache holds all that was appended.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Array> {
        let (arrays, written) = match self {
            Self::Arrays(cache) => (cache.parts(), None),
            Self::InPlace(cache) => (&[][..], cache.written()),
        };
        arrays.iter().chain(written)
    }

    /// To be called after [`Self::pending`] has been evaluated.
    pub(crate) fn settle(&mut self) {
        if let Self::InPlace(cache) = self {
            cache.settle();
        }
    }

    /// Bytes that MLX does not count.
    pub(crate) fn n_own_bytes(&self) -> u64 {
        match self {
            Self::Arrays(_) => 0,
            Self::InPlace(cache) => cache.n_bytes(),
        }
    }
}
