//! When the stages of a running job began: [`Times`].

use std::time::{Duration, Instant};

use crate::job::Timing;

/// The moments of one job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) submitted: Instant,
    /// When it got its slot.
    started: Instant,
    /// When its slot first held the prompt.
    prefilled: Option<Instant>,
    first_token: Option<Instant>,
}

impl Times {
    /// For a job that gets its slot now.
    pub(super) fn started(submitted: Instant, now: Instant) -> Self {
        Self { submitted, started: now, prefilled: None, first_token: None }
    }

    /// For a job that takes over the sequence of an older one; `has_text` if there is text beyond its prompt.
    pub(super) fn handed_over(older: Self, submitted: Instant, has_text: bool, now: Instant) -> Self {
        Self {
            submitted,
            started: now,
            prefilled: older.prefilled.map(|_| now),
            first_token: has_text.then_some(now),
        }
    }

    /// Records that the slot holds the prompt, the first time.
    pub(super) fn note_prefilled(&mut self, now: Instant) {
        self.prefilled.get_or_insert(now);
    }

    /// Records that a token was drawn, the first time.
    pub(super) fn note_token(&mut self, now: Instant) {
        self.first_token.get_or_insert(now);
    }

    /// The duration of each stage if the job ends now.
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
