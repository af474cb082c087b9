//! What the cache may keep, and what running sequences use.

use super::slot::Slot;
use crate::model::LanguageModel;

/// The limits for what is kept. Slots of running sequences count, but only idle ones are evicted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimits {
    pub(crate) bytes: u64,
    pub(crate) n_slots: usize,
}

/// The memory that slots of running sequences take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) n_slots: usize,
    /// The number of tokens that those slots have memory for.
    pub(crate) n_tokens: usize,
}

impl InUse {
    /// The memory of these slots.
    pub(crate) fn of<'a>(model: &dyn LanguageModel, slots: impl Iterator<Item = &'a Slot>) -> Self {
        slots.fold(Self::default(), |in_use, slot| in_use.and(model.slot_room(slot.id)))
    }

    /// Adds one more slot, with memory for `n_tokens`.
    pub(super) fn and(self, n_tokens: usize) -> Self {
        Self { n_slots: self.n_slots + 1, n_tokens: self.n_tokens + n_tokens }
    }
}
