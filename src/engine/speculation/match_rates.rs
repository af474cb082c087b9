//! How often the token after a match was the predicted one, by the length of the match: [`MatchRates`].

use super::acceptance::AcceptanceRate;

/// A match is found by its last tokens, this many.
pub(super) const KEY: usize = 3;

/// The longest length of a match that is measured.
pub(super) const MAX_MATCH: usize = 32;

/// An acceptance rate for matches of about the same length.
#[derive(Clone, Debug)]
pub(super) struct MatchRates([AcceptanceRate; 5]);

impl MatchRates {
    /// Estimates for a text of which nothing is known yet. A long match is evidence by itself; for a short one, the rate
    /// must be learned.
    pub(super) fn estimated() -> Self {
        Self([0.25, 0.25, 0.5, 0.8, 0.925].map(AcceptanceRate::estimated))
    }

    /// The probability that the token after a match of this length is the predicted one.
    pub(super) fn of(&self, length: usize) -> f64 {
        self.0[class(length)].value()
    }

    pub(super) fn record(&mut self, length: usize, is_right: bool) {
        self.0[class(length)].record(is_right);
    }
}

fn class(length: usize) -> usize {
    match length {
        ..KEY => 0,
        KEY..6 => 1,
        6..12 => 2,
        12..MAX_MATCH => 3,
        MAX_MATCH.. => 4,
    }
}
