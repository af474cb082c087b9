//! Keys and values of one layer of one slot in the CPU kernels' own buffers: [`InPlaceCache`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};

use crate::state::STEP_TOKENS;

/// A cache grows by this many tokens at a time. Growing copies it, one layer at a time.
pub(super) const CACHE_STEP_TOKENS: usize = STEP_TOKENS.unsigned_abs() as usize;

/// The keys and values of one layer of one slot, which a [`super::Program`] writes in place.
pub(crate) struct InPlaceCache {
    /// Locked by the stream's thread while a step writes it, and by the model's thread between steps.
    cache: Arc<Mutex<runabout_kernels::KvCache>>,
    /// The result of the operation that appends to the cache. Evaluating it does the write. Kept until
    /// [`Self::settle`].
    written: Option<Array>,
}

impl InPlaceCache {
    pub(super) fn new(cache: runabout_kernels::KvCache) -> Self {
        Self { cache: Arc::new(Mutex::new(cache)), written: None }
    }

    /// The buffers, for an operation to write.
    pub(super) fn shared(&self) -> Arc<Mutex<runabout_kernels::KvCache>> {
        Arc::clone(&self.cache)
    }

    /// Records the result of the operation that will append to the cache.
    pub(super) fn written_by(&mut self, output: Array) {
        self.written = Some(output);
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        lock(&self.cache).n_bytes() as u64
    }

    pub(crate) fn truncate(&mut self, n_tokens: usize) {
        lock(&self.cache).truncate(n_tokens);
    }

    pub(crate) fn n_tokens(&self) -> usize {
        lock(&self.cache).len()
    }

    pub(crate) fn n_room(&self) -> usize {
        lock(&self.cache).capacity()
    }

    /// Frees the memory beyond the tokens held.
    pub(crate) fn fit(&mut self) -> Result<()> {
        lock(&self.cache).shrink_to_fit().map_err(|e| Exception::custom(e.to_string()))
    }

    /// An independent copy of the first `n_tokens`.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Result<Self> {
        let capacity = n_tokens.next_multiple_of(CACHE_STEP_TOKENS);
        let copy = lock(&self.cache)
            .copy_prefix(n_tokens, capacity)
            .map_err(|e| Exception::custom(e.to_string()))?;
        Ok(Self::new(copy))
    }

    /// The array to evaluate so that the cache holds all that was appended.
    pub(crate) fn written(&self) -> Option<&Array> {
        self.written.as_ref()
    }

    /// To be called after the step has been evaluated: drops its array.
    pub(crate) fn settle(&mut self) {
        self.written = None;
    }
}

/// Ignores poisoning: a panic under the lock fails the step, which closes the slot, so its content is never read.
pub(super) fn lock(cache: &Mutex<runabout_kernels::KvCache>) -> MutexGuard<'_, runabout_kernels::KvCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}
