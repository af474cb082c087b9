//! How the suggestions of a connection fare: [`Statistics`]. They are counted here and sent nowhere; only the client
//! itself can ask for them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// The number of times from showing to accepting that count.
const N_TIMES: usize = 256;

/// Counts of suggestions. One that is typed through, piece by piece, is one suggestion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    pub(super) n_offered: u64,
    pub(super) n_shown: u64,
    pub(super) n_accepted: u64,
    pub(super) n_partially_accepted: u64,
    pub(super) n_dismissed: u64,
    pub(super) n_accepted_chars: u64,
    /// Of those accepted in full: how many were looked at again later, and how many of them were unchanged.
    pub(super) n_looked_at: u64,
    pub(super) n_retained: u64,
    shown_to_accept: VecDeque<Duration>,
}

/// The counts as the client gets them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    offered: u64,
    shown: u64,
    accepted: u64,
    partially_accepted: u64,
    dismissed: u64,
    accepted_characters: u64,
    retained: u64,
    retained_of: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_to_accept_ms: Option<u64>,
}

impl Statistics {
    pub(super) fn accepted_after(&mut self, time: Duration) {
        if self.shown_to_accept.len() == N_TIMES {
            self.shown_to_accept.pop_front();
        }
        self.shown_to_accept.push_back(time);
    }

    pub(super) fn counts(&self) -> Counts {
        let mut times: Vec<Duration> = self.shown_to_accept.iter().copied().collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2);
        Counts {
            offered: self.n_offered,
            shown: self.n_shown,
            accepted: self.n_accepted,
            partially_accepted: self.n_partially_accepted,
            dismissed: self.n_dismissed,
            accepted_characters: self.n_accepted_chars,
            retained: self.n_retained,
            retained_of: self.n_looked_at,
            shown_to_accept_ms: median.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
