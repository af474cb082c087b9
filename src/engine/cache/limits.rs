//! What the cache may keep, and what running sequences use.

/// Bounds of what is kept. Slots in use count, but only idle ones are evicted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimits {
    pub(crate) bytes: u64,
    pub(crate) n_slots: usize,
}

/// What running sequences have memory for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) n_slots: usize,
    pub(crate) n_tokens: usize,
}

impl InUse {
    /// With one more slot of so many tokens.
    pub(super) fn and(self, n_tokens: usize) -> Self {
        Self { n_slots: self.n_slots + 1, n_tokens: self.n_tokens + n_tokens }
    }
}
