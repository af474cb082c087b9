//! When the stages of a running job began.

use std::time::{Duration, Instant};

use crate::job::Timing;

/// The moments of one job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) submitted: Instant,
    /// When it got its slot.
    started: Instant,
    /// When its prompt was in the slot.
    prefilled: Option<Instant>,
    first_token: Option<Instant>,
}

impl Times {
    /// Of a job that gets its slot now.
    pub(super) fn started(submitted: Instant, now: Instant) -> Self {
        Self { submitted, started: now, prefilled: None, first_token: None }
    }

    /// Of a job that takes the sequence of an older one over; `has_text`: with text beyond its prompt.
    pub(super) fn handed_over(older: Self, submitted: Instant, has_text: bool, now: Instant) -> Self {
        Self {
            submitted,
            started: now,
            prefilled: older.prefilled.map(|_| now),
            first_token: has_text.then_some(now),
        }
    }

    /// Notes that the slot holds the prompt, if that is new.
    pub(super) fn note_prefilled(&mut self, now: Instant) {
        self.prefilled.get_or_insert(now);
    }

    /// Notes that a token was drawn, if it is the first.
    pub(super) fn note_token(&mut self, now: Instant) {
        self.first_token.get_or_insert(now);
    }

    /// How long each stage took, if the job ends now.
    pub(super) fn timing(&self, now: Instant) -> Timing {
        Timing {
            queue: self.started - self.submitted,
            prefill: self.prefilled.unwrap_or(now) - self.started,
            first_token: self.first_token.map(|first| first - self.submitted),
            decode: self.first_token.map_or(Duration::ZERO, |first| now - first),
            total: now - self.submitted,
        }
    }
}
