//! The answer to `runabout.statistics`: [`Counts`].

use serde::Serialize;

use crate::suggestion_counts::SuggestionCounts;

/// What became of the suggestions, as an editor gets it.
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

impl From<&SuggestionCounts> for Counts {
    fn from(counts: &SuggestionCounts) -> Self {
        Self {
            offered: counts.n_offered,
            shown: counts.n_shown,
            accepted: counts.n_accepted,
            partially_accepted: counts.n_partially_accepted,
            dismissed: counts.n_dismissed,
            accepted_characters: counts.n_accepted_chars,
            retained: counts.n_retained,
            retained_of: counts.n_looked_at,
            shown_to_accept_ms: counts.shown_to_accept_ms(),
        }
    }
}
