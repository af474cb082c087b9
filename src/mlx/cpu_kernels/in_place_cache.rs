//! Keys and values of one layer of one slot in the CPU kernels' own buffers: [`InPlaceCache`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};

use crate::array_cache::STEP_TOKENS;

/// Room is made for this many tokens at a time. A cache that grows is copied, but only one layer's at once.
pub(super) const CACHE_STEP_TOKENS: usize = STEP_TOKENS.unsigned_abs() as usize;

/// The keys and values of one layer of one slot, written in place by [`super::PackedAttention::forward`].
pub(crate) struct InPlaceCache {
    /// Locked by the stream's thread while a step writes it, by the model's between steps.
    cache: Arc<Mutex<runabout_kernels::KvCache>>,
    /// The result of the attention that appends to the cache, until [`Self::settle`]: evaluating it is what writes.
    written: Option<Array>,
}

impl InPlaceCache {
    pub(super) fn new(cache: runabout_kernels::KvCache) -> Self {
        Self { cache: Arc::new(Mutex::new(cache)), written: None }
    }

    /// The buffers, for the operation that writes them.
    pub(super) fn shared(&self) -> Arc<Mutex<runabout_kernels::KvCache>> {
        Arc::clone(&self.cache)
    }

    /// The result of the operation that will append to the cache.
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

    /// Gives back what memory it has beyond what is held.
    pub(crate) fn fit(&mut self) -> Result<()> {
        lock(&self.cache).shrink_to_fit().map_err(|e| Exception::custom(e.to_string()))
    }

    /// A copy of the first `n_tokens`.
    pub(crate) fn copy_prefix(&self, n_tokens: usize) -> Result<Self> {
        let capacity = n_tokens.next_multiple_of(CACHE_STEP_TOKENS);
        let copy = lock(&self.cache)
            .copy_prefix(n_tokens, capacity)
            .map_err(|e| Exception::custom(e.to_string()))?;
        Ok(Self::new(copy))
    }

    /// What must be evaluated for the cache to hold all that was appended.
    pub(crate) fn written(&self) -> Option<&Array> {
        self.written.as_ref()
    }

    /// The step has been evaluated; its arrays may go.
    pub(crate) fn settle(&mut self) {
        self.written = None;
    }
}

/// A panic under the lock has failed the step, which closes the slot, so nobody reads what it may have left.
pub(super) fn lock(cache: &Mutex<runabout_kernels::KvCache>) -> MutexGuard<'_, runabout_kernels::KvCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}
