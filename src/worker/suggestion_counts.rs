//! How the suggestions to one client fare: [`SuggestionCounts`]. They are counted here and sent nowhere; only the client
//! itself can ask for them.

use std::collections::VecDeque;
use std::time::Duration;

/// The number of times from showing to accepting that count.
const N_TIMES: usize = 256;

/// Counts of suggestions. One that is typed through, piece by piece, is one suggestion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SuggestionCounts {
    pub(crate) n_offered: u64,
    pub(crate) n_shown: u64,
    pub(crate) n_accepted: u64,
    pub(crate) n_partially_accepted: u64,
    pub(crate) n_dismissed: u64,
    pub(crate) n_accepted_chars: u64,
    /// Of those accepted in full: how many were looked at again later, and how many of them were unchanged.
    pub(crate) n_looked_at: u64,
    pub(crate) n_retained: u64,
    shown_to_accept: VecDeque<Duration>,
}

impl SuggestionCounts {
    pub(crate) fn accepted_after(&mut self, time: Duration) {
        if self.shown_to_accept.len() == N_TIMES {
            self.shown_to_accept.pop_front();
        }
        self.shown_to_accept.push_back(time);
    }

    /// The median time from showing to accepting, in milliseconds, of the latest suggestions that were accepted in full.
    pub(crate) fn shown_to_accept_ms(&self) -> Option<u64> {
        let mut times: Vec<Duration> = self.shown_to_accept.iter().copied().collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2)?;
        Some(u64::try_from(median.as_millis()).unwrap_or(u64::MAX))
    }
}
