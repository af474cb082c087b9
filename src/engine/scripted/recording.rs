//! What a scripted model was fed: [`Recording`].

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use runabout_text::TokenId;

use crate::model::SlotId;

/// What a model was fed. Clones share the same record.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    spans: Arc<Mutex<Vec<FedSpan>>>,
    n_ahead: Arc<AtomicUsize>,
    shifts: Arc<Mutex<Vec<Shift>>>,
}

/// Tokens that were appended to a slot from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    pub slot: SlotId,
    /// The number of tokens that the slot held before.
    pub start: usize,
    pub from: SlotId,
    /// Their positions in the other slot.
    pub range: Range<usize>,
}

/// A span that a model was fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedSpan {
    pub slot: SlotId,
    /// The number of tokens that the slot held before.
    pub start: usize,
    pub tokens: Vec<TokenId>,
    /// The number of drafts at the end of the tokens.
    pub n_drafted: usize,
    pub sampled: bool,
    /// Whether a checkpoint was made at its end.
    pub checkpoint: bool,
}

impl Recording {
    /// The number of steps that allowed the model to start the next one early.
    pub fn n_ahead(&self) -> usize {
        self.n_ahead.load(Ordering::Relaxed)
    }

    pub fn spans(&self) -> Vec<FedSpan> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tokens that were moved between slots.
    pub fn shifts(&self) -> Vec<Shift> {
        self.shifts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes and returns the spans recorded so far.
    pub fn take(&self) -> Vec<FedSpan> {
        std::mem::take(&mut *self.spans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn record_step(&self, spans: &[FedSpan]) {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(spans.iter().cloned());
    }

    pub(super) fn record_ahead(&self) {
        self.n_ahead.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record_shift(&self, shift: Shift) {
        self.shifts.lock().unwrap_or_else(PoisonError::into_inner).push(shift);
    }
}
