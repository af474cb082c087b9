//! What the cache may keep, and what running sequences use.

use super::slot::Slot;
use crate::model::LanguageModel;

/// The limits for what is kept. Slots of running sequences count, but of these only checkpoints are dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimits {
    pub(crate) bytes: u64,
    pub(crate) n_slots: usize,
}

impl CacheLimits {
    /// Whether these slots are within the limits.
    pub(super) fn allow(self, slots: InUse) -> bool {
        slots.n_slots <= self.n_slots && slots.bytes <= self.bytes
    }
}

/// The memory that some slots take, such as those of running sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) n_slots: usize,
    pub(crate) bytes: u64,
}

impl InUse {
    /// The memory of these slots.
    pub(crate) fn of<'a>(model: &dyn LanguageModel, slots: impl Iterator<Item = &'a Slot>) -> Self {
        slots.fold(Self::default(), |in_use, slot| in_use.and(slot.bytes(model)))
    }

    /// Adds one more slot of this size.
    pub(super) fn and(self, bytes: u64) -> Self {
        Self { n_slots: self.n_slots + 1, ..self.grown(bytes) }
    }

    /// Adds memory for the slots that there are.
    pub(crate) fn grown(self, bytes: u64) -> Self {
        Self { bytes: self.bytes.saturating_add(bytes), ..self }
    }
}
