//! What a slot holds for a layer: [`LayerState`].
//!
//! Keys and values grow in steps and can be cut at any length; a recurrent state returns to checkpoints. Keys and
//! values are either in MLX arrays or in the CPU kernels' own buffers. Whatever computes a layer makes and
//! gets its own kind of state. A layer with a window keeps all of its keys and values too, so that it can be truncated
//! to any length.

mod array_cache;
mod quantized_kv;
mod recurrent;
mod spans;
mod view;

use mlx_rs::Array;
use mlx_rs::error::Result;

use crate::cpu::InPlaceCache;

pub(crate) use array_cache::{ArrayCache, STEP_TOKENS};
pub use quantized_kv::KvBits;
pub(crate) use quantized_kv::KvQuantization;
pub(crate) use recurrent::{Moment, Recurrent};
pub(crate) use spans::SpanRows;
pub(crate) use view::View;

pub(crate) enum LayerState {
    Arrays(ArrayCache),
    InPlace(InPlaceCache),
    Recurrent(Recurrent),
    /// Of a layer that looks at another layer's state.
    Nothing,
}

impl LayerState {
    pub(crate) fn arrays_mut(&mut self) -> &mut ArrayCache {
        match self {
            Self::Arrays(cache) => cache,
            _ => unreachable!("a layer gets the states that it made"),
        }
    }

    pub(crate) fn arrays(&self) -> &ArrayCache {
        match self {
            Self::Arrays(cache) => cache,
            _ => unreachable!("a layer gets the states that it made"),
        }
    }

    #[cfg(cpu_kernels)]
    pub(crate) fn in_place(&self) -> &InPlaceCache {
        match self {
            Self::InPlace(cache) => cache,
            _ => unreachable!("a layer gets the states that it made"),
        }
    }

    #[cfg(cpu_kernels)]
    pub(crate) fn in_place_mut(&mut self) -> &mut InPlaceCache {
        match self {
            Self::InPlace(cache) => cache,
            _ => unreachable!("a layer gets the states that it made"),
        }
    }

    pub(crate) fn recurrent_mut(&mut self) -> &mut Recurrent {
        match self {
            Self::Recurrent(state) => state,
            _ => unreachable!("a layer gets the states that it made"),
        }
    }

    /// The greatest length, at most `n_tokens`, to which it can return.
    pub(crate) fn resume_point(&self, n_tokens: usize) -> usize {
        match self {
            Self::Arrays(_) | Self::InPlace(_) | Self::Nothing => n_tokens,
            Self::Recurrent(state) => state.resume_point(n_tokens),
        }
    }

    /// Keeps the first `n_tokens`, which must be a resume point. The memory stays allocated for later tokens.
    pub(crate) fn rewind(&mut self, n_tokens: usize) {
        match self {
            Self::Arrays(cache) => cache.truncate(n_tokens),
            Self::InPlace(cache) => cache.truncate(n_tokens),
            Self::Recurrent(state) => state.rewind(n_tokens),
            Self::Nothing => {}
        }
    }

    /// Makes a checkpoint of what cannot be cut.
    pub(crate) fn keep(&mut self) {
        if let Self::Recurrent(state) = self {
            state.keep();
        }
    }

    pub(crate) fn drop_checkpoint(&mut self, n_tokens: usize) {
        if let Self::Recurrent(state) = self {
            state.drop_checkpoint(n_tokens);
        }
    }

    /// Removes the last `n_tokens`, which are drafts of the last step.
    pub(crate) fn forget(&mut self, n_tokens: usize) {
        match self {
            Self::Arrays(cache) => {
                cache.truncate(usize::try_from(cache.n_tokens()).unwrap_or(0).saturating_sub(n_tokens));
            }
            Self::InPlace(cache) => cache.truncate(cache.n_tokens().saturating_sub(n_tokens)),
            Self::Recurrent(state) => state.forget(n_tokens),
            Self::Nothing => {}
        }
    }

    /// An independent copy of the first `n_tokens`, which must be a resume point. Everything appended must have been
    /// evaluated.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Result<Self> {
        match self {
            Self::Arrays(cache) => Ok(Self::Arrays(cache.copy_prefix(n_tokens))),
            Self::InPlace(cache) => cache.copy_prefix(n_tokens).map(Self::InPlace),
            Self::Recurrent(state) => Ok(Self::Recurrent(state.copy(n_tokens))),
            Self::Nothing => Ok(Self::Nothing),
        }
    }

    /// The number of tokens held; `None` if it does not take memory for each.
    pub(crate) fn n_tokens(&self) -> Option<usize> {
        match self {
            Self::Arrays(cache) => usize::try_from(cache.n_tokens()).ok(),
            Self::InPlace(cache) => Some(cache.n_tokens()),
            Self::Recurrent(_) | Self::Nothing => None,
        }
    }

    /// The number of tokens that fit in the allocated memory; 0 if it does not depend on their number.
    pub(crate) fn n_room(&self) -> usize {
        match self {
            Self::Arrays(cache) => cache.n_room().unsigned_abs() as usize,
            Self::InPlace(cache) => cache.n_room(),
            Self::Recurrent(_) | Self::Nothing => 0,
        }
    }

    /// Frees the memory beyond the tokens held.
    pub(crate) fn fit(&mut self) -> Result<()> {
        match self {
            Self::Arrays(cache) => cache.fit(),
            Self::InPlace(cache) => cache.fit(),
            Self::Recurrent(_) | Self::Nothing => Ok(()),
        }
    }

    /// The arrays to evaluate so that it holds all that was appended.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Array> {
        let (arrays, written, recurrent) = match self {
            Self::Arrays(cache) => (cache.parts(), None, None),
            Self::InPlace(cache) => (&[][..], cache.written(), None),
            Self::Recurrent(state) => (&[][..], None, Some(state.arrays())),
            Self::Nothing => (&[][..], None, None),
        };
        arrays.iter().chain(written).chain(recurrent.into_iter().flatten())
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
            Self::Arrays(_) | Self::Recurrent(_) | Self::Nothing => 0,
            Self::InPlace(cache) => cache.n_bytes(),
        }
    }
}
