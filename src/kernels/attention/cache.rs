//! The keys and values of one sequence in one layer: [`KvCache`].
//!
//! Sixteen tokens form a block. Within it, a head's keys are stored dimension by dimension, so that a vector is one
//! dimension of sixteen keys; its values are stored token by token (`layout.rs`). A sequence grows by whole blocks,
//! shrinks by reducing its length, and a prefix is copied in one piece.

use super::shape::KvShape;
use crate::KernelError;
use crate::error::product;
use crate::memory::Line;
use crate::pages::Pages;
use crate::simd::LANES;

/// Keys and values of the tokens so far, in the order of their positions.
#[derive(Debug)]
pub struct KvCache {
    shape: KvShape,
    len: usize,
    keys: Pages,
    values: Pages,
}

impl KvCache {
    /// An empty cache with room for `capacity` tokens.
    pub fn new(shape: KvShape, capacity: usize) -> Result<KvCache, KernelError> {
        if shape.head_dim == 0 || !shape.head_dim.is_multiple_of(8) {
            return Err(KernelError::HeadSize { got: shape.head_dim });
        }
        if shape.n_heads == 0 {
            return Err(KernelError::Zero { what: "key-value heads" });
        }
        let mut cache = KvCache { shape, len: 0, keys: Pages::default(), values: Pages::default() };
        cache.reserve(capacity)?;
        Ok(cache)
    }

    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// The number of tokens, which is the position of the next one.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of tokens it can hold without growing.
    pub fn capacity(&self) -> usize {
        self.keys.len() / self.lines_per_block(self.shape.key_bytes()) * LANES
    }

    /// Bytes of memory in use.
    pub fn n_bytes(&self) -> usize {
        (self.keys.len() + self.values.len()) * size_of::<Line>()
    }

    /// Makes room for `capacity` tokens in total.
    pub fn reserve(&mut self, capacity: usize) -> Result<(), KernelError> {
        let n_blocks = capacity.div_ceil(LANES);
        let n_keys = lines(self.shape, n_blocks, self.shape.key_bytes())?;
        let n_values = lines(self.shape, n_blocks, self.shape.value_bytes())?;
        self.keys.grow(n_keys)?;
        self.values.grow(n_values)
    }

    /// Keeps the first `len` tokens. The memory stays allocated.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Frees the memory beyond the tokens held.
    pub fn shrink_to_fit(&mut self) -> Result<(), KernelError> {
        let n_blocks = self.len.div_ceil(LANES);
        self.keys.shrink(lines(self.shape, n_blocks, self.shape.key_bytes())?)?;
        self.values.shrink(lines(self.shape, n_blocks, self.shape.value_bytes())?)
    }

    /// An independent copy of the first `len` tokens, with room for `capacity`.
    pub fn copy_prefix(&self, len: usize, capacity: usize) -> Result<KvCache, KernelError> {
        let len = len.min(self.len);
        let mut copy = KvCache::new(self.shape, capacity.max(len))?;
        let n_blocks = len.div_ceil(LANES);
        for (to, from, head_bytes) in [
            (&mut copy.keys, &self.keys, self.shape.key_bytes()),
            (&mut copy.values, &self.values, self.shape.value_bytes()),
        ] {
            let n = n_blocks * self.lines_per_block(head_bytes);
            if let (Some(to), Some(from)) = (to.lines_mut().get_mut(..n), from.lines().get(..n)) {
                to.copy_from_slice(from);
            }
        }
        copy.len = len;
        Ok(copy)
    }

    /// Makes room for `n_tokens` more, at least doubling, so that a growing sequence is rarely copied.
    pub(crate) fn reserve_more(&mut self, n_tokens: usize) -> Result<(), KernelError> {
        let needed = self.len + n_tokens;
        if needed > self.capacity() {
            self.reserve(needed.max(self.capacity() * 2))?;
        }
        Ok(())
    }

    /// Sets the length, after the first `len` tokens have been written.
    pub(crate) fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity());
        self.len = len;
    }

    /// The blocks of keys.
    pub(super) fn keys(&self) -> &[Line] {
        self.keys.lines()
    }

    /// The blocks of values.
    pub(super) fn values(&self) -> &[Line] {
        self.values.lines()
    }

    /// Pointers to the keys and the values.
    pub(crate) fn as_mut_ptrs(&mut self) -> (*mut u8, *mut u8) {
        (self.keys.lines_mut().as_mut_ptr().cast(), self.values.lines_mut().as_mut_ptr().cast())
    }

    fn lines_per_block(&self, head_bytes: usize) -> usize {
        self.shape.n_heads * head_bytes / size_of::<Line>()
    }
}

fn lines(shape: KvShape, n_blocks: usize, head_bytes: usize) -> Result<usize, KernelError> {
    Ok(product("cache", &[n_blocks, shape.n_heads, head_bytes])? / size_of::<Line>())
}
