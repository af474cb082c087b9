//! The suggestions that were offered to the client, so that it can name them later, and what became of them: [`Offers`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::suggestion_counts::SuggestionCounts;

/// The number of offers that are remembered.
const MAX_OFFERS: usize = 256;

/// Names an offer towards the client.
pub(super) type OfferId = u64;

/// A suggestion that was sent to the client.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    id: OfferId,
    /// The first offer of the text of which this is the rest, or else itself.
    first: OfferId,
    pub(super) uri: String,
    pub(super) text: String,
    offered: Instant,
    shown: Option<Instant>,
    is_accepted: bool,
    is_dismissed: bool,
    /// The number of characters accepted so far.
    n_accepted_chars: u64,
}

/// The latest offers to one client.
#[derive(Debug, Default)]
pub(super) struct Offers {
    latest: VecDeque<Offer>,
    n_offered: OfferId,
    counts: Arc<Mutex<SuggestionCounts>>,
    /// Whether nothing is counted.
    pub(super) is_off: bool,
}

impl Offers {
    /// Of no suggestions yet. What becomes of them is added to `counts`.
    pub(super) fn new(counts: Arc<Mutex<SuggestionCounts>>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// Adds an offer. If its text is the rest of one that was offered before, `earlier`, both count as one.
    pub(super) fn add(&mut self, uri: &str, text: &str, earlier: Option<OfferId>) -> OfferId {
        self.n_offered += 1;
        let id = self.n_offered;
        let earlier = self.latest.iter().find(|it| Some(it.id) == earlier);
        let first = earlier.map(|it| it.first);
        if self.latest.len() == MAX_OFFERS {
            self.latest.pop_front();
        }
        self.latest.push_back(Offer {
            id,
            first: first.unwrap_or(id),
            uri: uri.to_owned(),
            text: text.to_owned(),
            offered: Instant::now(),
            shown: None,
            is_accepted: false,
            is_dismissed: false,
            n_accepted_chars: 0,
        });
        if first.is_none() {
            self.count(|it| it.n_offered += 1);
        }
        id
    }

    /// The offer has more text now.
    pub(super) fn grown(&mut self, id: OfferId, text: &str) {
        if let Some(offer) = self.latest.iter_mut().find(|it| it.id == id) {
            text.clone_into(&mut offer.text);
        }
    }

    /// The client shows the offer.
    pub(super) fn shown(&mut self, id: OfferId) {
        let Some(first) = self.first(id) else { return };
        if first.shown.is_none() {
            first.shown = Some(Instant::now());
            self.count(|it| it.n_shown += 1);
        }
    }

    /// The person accepted the offer in full. Returns it, unless that is known or the offer is not.
    pub(super) fn accepted(&mut self, id: OfferId) -> Option<Offer> {
        let offer = self.latest.iter().find(|it| it.id == id)?.clone();
        let first = self.first(id)?;
        if std::mem::replace(&mut first.is_accepted, true) {
            return None;
        }
        // Clients need not tell what they show, and have then shown it at once.
        let was_told = first.shown.is_some();
        let shown = *first.shown.get_or_insert(first.offered);
        let n_new = n_chars(&offer.text).saturating_sub(first.n_accepted_chars);
        self.count(|it| {
            it.n_shown += u64::from(!was_told);
            it.n_accepted += 1;
            it.n_accepted_chars += n_new;
            it.accepted_after(shown.elapsed());
        });
        Some(offer)
    }

    /// The person accepted the first `n_units` UTF-16 units of the offer, counted from its beginning.
    pub(super) fn partially_accepted(&mut self, id: OfferId, n_units: usize) {
        let Some(offer) = self.latest.iter().find(|it| it.id == id) else { return };
        let n_accepted = n_chars(beginning(&offer.text, n_units));
        let Some(first) = self.first(id) else { return };
        let was_begun = first.n_accepted_chars > 0;
        let n_new = n_accepted.saturating_sub(first.n_accepted_chars);
        first.n_accepted_chars += n_new;
        self.count(|it| {
            it.n_partially_accepted += u64::from(!was_begun && n_new > 0);
            it.n_accepted_chars += n_new;
        });
    }

    /// The person dismissed the offer.
    pub(super) fn dismissed(&mut self, id: OfferId) {
        let Some(first) = self.first(id) else { return };
        if !first.is_accepted && !std::mem::replace(&mut first.is_dismissed, true) {
            self.count(|it| it.n_dismissed += 1);
        }
    }

    /// Counts something, unless counting is off.
    pub(super) fn count(&mut self, what: impl FnOnce(&mut SuggestionCounts)) {
        if !self.is_off {
            what(&mut self.counts());
        }
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, SuggestionCounts> {
        // No change can panic halfway.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&mut self, id: OfferId) -> Option<&mut Offer> {
        let first = self.latest.iter().find(|it| it.id == id)?.first;
        self.latest.iter_mut().find(|it| it.id == first)
    }
}

fn n_chars(text: &str) -> u64 {
    text.chars().count() as u64
}

/// The first `n_units` UTF-16 units of a text.
fn beginning(text: &str, n_units: usize) -> &str {
    let mut n_left = n_units;
    let end = text.char_indices().find(|(_, it)| match n_left.checked_sub(it.len_utf16()) {
        Some(left) => {
            n_left = left;
            false
        }
        None => true,
    });
    &text[..end.map_or(text.len(), |it| it.0)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::statistics::Counts;
    use super::*;

    fn counts(offers: &Offers) -> serde_json::Value {
        serde_json::to_value(Counts::from(&*offers.counts())).unwrap_or_default()
    }

    #[test]
    fn the_beginning_of_a_text_is_counted_in_utf16_units() {
        assert_eq!(beginning("a😀b", 1), "a");
        assert_eq!(beginning("a😀b", 2), "a");
        assert_eq!(beginning("a😀b", 3), "a😀");
        assert_eq!(beginning("a😀b", 9), "a😀b");
    }

    #[tokio::test(start_paused = true)]
    async fn a_suggestion_that_is_typed_through_counts_once() {
        let mut offers = Offers::default();
        let first = offers.add("a", "foo bar", None);
        offers.shown(first);
        offers.shown(first);
        tokio::time::advance(Duration::from_millis(500)).await;
        let rest = offers.add("a", "oo bar", Some(first));
        offers.shown(rest);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(offers.accepted(rest).is_some_and(|it| it.text == "oo bar"));
        assert!(offers.accepted(first).is_none(), "it was accepted already");
        let counts = counts(&offers);
        assert_eq!(
            (&counts["offered"], &counts["shown"], &counts["accepted"]),
            (&1.into(), &1.into(), &1.into())
        );
        assert_eq!((&counts["acceptedCharacters"], &counts["shownToAcceptMs"]), (&6.into(), &1000.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_offer_that_grows_is_accepted_with_all_of_its_text() {
        let mut offers = Offers::default();
        let id = offers.add("a", "foo", None);
        offers.grown(id, "foo\nbar");
        assert!(offers.accepted(id).is_some_and(|it| it.text == "foo\nbar"));
        assert_eq!(counts(&offers)["acceptedCharacters"], 7);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_accepted_in_parts_and_then_in_full_counts_its_characters_once() {
        let mut offers = Offers::default();
        let id = offers.add("a", "fo😀 bar", None);
        offers.partially_accepted(id, 2);
        offers.partially_accepted(id, 4);
        assert_eq!(counts(&offers)["partiallyAccepted"], 1);
        assert_eq!(counts(&offers)["acceptedCharacters"], 3);
        offers.accepted(id);
        assert_eq!(counts(&offers)["acceptedCharacters"], 7);
        assert_eq!(counts(&offers)["shown"], 1, "what is accepted was shown");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_counted_when_counting_is_off() {
        let mut offers = Offers { is_off: true, ..Offers::default() };
        let id = offers.add("a", "foo", None);
        offers.shown(id);
        offers.partially_accepted(id, 1);
        offers.accepted(id);
        let other = offers.add("a", "bar", None);
        offers.dismissed(other);
        assert_eq!(*offers.counts(), SuggestionCounts::default());
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_not_accepted_can_be_dismissed_and_only_once() {
        let mut offers = Offers::default();
        let (one, two) = (offers.add("a", "foo", None), offers.add("b", "foo", None));
        offers.accepted(one);
        offers.dismissed(one);
        offers.dismissed(two);
        offers.dismissed(two);
        offers.dismissed(99);
        assert_eq!(counts(&offers)["dismissed"], 1);
        assert_eq!(counts(&offers)["offered"], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn old_offers_are_forgotten() {
        let mut offers = Offers::default();
        let first = offers.add("a", "foo", None);
        for _ in 0..MAX_OFFERS {
            offers.add("a", "foo", None);
        }
        assert!(offers.accepted(first).is_none());
        assert_eq!(offers.latest.len(), MAX_OFFERS);
    }
}
