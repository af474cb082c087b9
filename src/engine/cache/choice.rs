//! Which slot a new sequence takes or copies: a pure decision from lengths alone.
//!
//! Taking a slot costs nothing, but a later prompt can no longer reuse what it holds beyond the shared prefix. Copying
//! takes memory and a memcpy, a few thousandths of the time for computing the tokens, and loses nothing. Of the shared
//! prefix only that part counts to which the slot can return.

use std::cmp::Reverse;

use runabout_text::TokenId;

use crate::model::SlotId;

/// Fewer tokens than this are computed again: copying them would take a slot and save less than a step.
pub(crate) const MIN_COPY: usize = 16;

/// This many tokens may always be lost, since a short prompt and its text are quickly computed again.
const MAX_LOSS: usize = 32;

/// A prompt may lose up to this many times what it keeps of its own document's slot, because there can be a long suffix
/// behind a cursor near the top. If it keeps less, the cursor has moved somewhere else, and may come back.
const MAX_LOSS_OF_DOCUMENT: usize = 256;

/// How much of a prompt a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixMatch {
    pub(super) id: SlotId,
    /// The number of tokens that need not be fed again; see [`Slot::n_usable`](super::Slot::n_usable).
    pub(super) n_usable: usize,
    /// The number of further tokens in the slot, which are lost if it is taken.
    pub(super) n_lost: usize,
    pub(super) owner: Owner,
}

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A running sequence: the slot can be copied but not taken.
    Running,
    /// The document of the prompt. The user is typing in it, so its earlier content will not be asked for again.
    SameDocument,
    /// Another document, whose prompt will be asked for again.
    OtherDocument,
    /// Nothing at the moment.
    Idle,
}

/// How a new sequence gets its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Return this slot to its first `n_keep` tokens and continue there.
    Take { slot: SlotId, n_keep: usize },
    /// Leave this slot unchanged and continue in a copy of its first `n_keep` tokens.
    Copy { slot: SlotId, n_keep: usize },
    /// Start with an empty slot.
    Fresh,
}

impl Choice {
    /// The number of tokens of the prompt that the slot holds then.
    pub(super) fn n_keep(self) -> usize {
        match self {
            Self::Take { n_keep, .. } | Self::Copy { n_keep, .. } => n_keep,
            Self::Fresh => 0,
        }
    }
}

/// The number of tokens of `prompt` that need not be fed if the slot holds `held`: the common beginning, without the
/// prompt's last token, since feeding that token yields the next.
pub(crate) fn n_usable(held: &[TokenId], prompt: &[TokenId]) -> usize {
    let n_common = held.iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count();
    n_common.min(prompt.len().saturating_sub(1))
}

impl PrefixMatch {
    /// Of a slot that holds `n_held` tokens.
    pub(super) fn new(id: SlotId, owner: Owner, n_held: usize, n_usable: usize) -> Self {
        Self { id, n_usable, n_lost: n_held - n_usable, owner }
    }

    /// Adds `n_moved` tokens of the prompt, which the slot holds at other positions.
    pub(super) fn with_moved(self, n_moved: usize) -> Self {
        Self { n_usable: self.n_usable + n_moved, n_lost: self.n_lost.saturating_sub(n_moved), ..self }
    }

    /// Whether taking the slot loses few enough tokens.
    pub(super) fn may_be_taken(self) -> bool {
        self.n_usable > 0
            && match self.owner {
                Owner::Running => false,
                Owner::SameDocument => self.n_lost <= self.n_usable.saturating_mul(MAX_LOSS_OF_DOCUMENT),
                Owner::OtherDocument => self.n_lost <= MAX_LOSS,
                Owner::Idle => self.n_lost <= self.n_usable.max(MAX_LOSS),
            }
    }
}

/// Chooses the slot that holds most of the prompt. It is taken if that loses little, else copied. Among equals, the one
/// that loses least comes first, then the most recently used. `matches` are in order of use, the least recent first.
pub(super) fn choose(matches: &[PrefixMatch]) -> Choice {
    let best = |matches: &mut dyn Iterator<Item = &PrefixMatch>| {
        matches.copied().max_by_key(|it| (it.n_usable, Reverse(it.n_lost)))
    };
    let taken = best(&mut matches.iter().filter(|it| it.may_be_taken()));
    let copied = best(&mut matches.iter().filter(|it| it.n_usable >= MIN_COPY));
    let n_by_taking = taken.map_or(0, |it| it.n_usable);
    match (taken, copied) {
        (_, Some(it)) if it.n_usable >= n_by_taking + MIN_COPY => {
            Choice::Copy { slot: it.id, n_keep: it.n_usable }
        }
        (Some(it), _) => Choice::Take { slot: it.id, n_keep: it.n_usable },
        (None, _) => Choice::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Owner = Owner::Running;
    const SAME: Owner = Owner::SameDocument;
    const OTHER: Owner = Owner::OtherDocument;
    const IDLE: Owner = Owner::Idle;

    enum Expected {
        Take(u32, usize),
        Copy(u32, usize),
        Fresh,
    }
    use Expected::{Copy, Fresh, Take};

    /// `slots` are owner, ledger length and number of tokens shared with a prompt of `n_prompt` tokens, the least
    /// recently used first.
    #[expect(clippy::needless_pass_by_value, reason = "a table reads better without `&`")]
    fn check(n_prompt: usize, slots: &[(Owner, usize, usize)], expected: Expected) {
        let prompt: Vec<TokenId> = (0..).take(n_prompt).collect();
        let matches: Vec<PrefixMatch> = (0..)
            .zip(slots)
            .map(|(idx, &(owner, n_ledger, n_shared))| {
                let ledger: Vec<TokenId> =
                    (0..).take(n_shared).chain(std::iter::repeat(u32::MAX)).take(n_ledger).collect();
                PrefixMatch::new(SlotId(idx), owner, n_ledger, n_usable(&ledger, &prompt))
            })
            .collect();
        let expected = match expected {
            Take(slot, n_keep) => Choice::Take { slot: SlotId(slot), n_keep },
            Copy(slot, n_keep) => Choice::Copy { slot: SlotId(slot), n_keep },
            Fresh => Choice::Fresh,
        };
        assert_eq!(choose(&matches), expected, "{slots:?} for {n_prompt} tokens");
    }

    #[test]
    fn a_slot_is_taken_if_little_is_lost() {
        check(100, &[], Fresh);
        check(100, &[(IDLE, 50, 0)], Fresh);
        // A chat continues, so all of the slot is kept.
        check(100, &[(IDLE, 50, 50)], Take(0, 50));
        check(100, &[(IDLE, 30, 30), (IDLE, 50, 50), (IDLE, 40, 40)], Take(1, 50));
        // Even two tokens are worth taking if the slot has no others.
        check(100, &[(IDLE, 2, 2)], Take(0, 2));
        // The end of an answer is asked for again.
        check(1000, &[(IDLE, 900, 600)], Take(0, 600));
        // Losing a short slot does not matter.
        check(10, &[(IDLE, 30, 9)], Take(0, 9));
    }

    #[test]
    fn if_much_would_be_lost_the_shared_beginning_is_copied() {
        // Another chat with the same system prompt leaves the long chat's slot unchanged.
        check(250, &[(IDLE, 2000, 200)], Copy(0, 200));
        // If only the start token is shared, no copy is made.
        check(250, &[(IDLE, 100, 1)], Fresh);
        // Taking a slot that shares almost as much is better than a copy.
        check(250, &[(IDLE, 2000, 200), (IDLE, 200, 190)], Take(1, 190));
        check(250, &[(IDLE, 2000, 200), (IDLE, 160, 150)], Copy(0, 200));
    }

    #[test]
    fn a_running_slot_is_copied_and_never_taken() {
        check(100, &[(RUNNING, 99, 99)], Copy(0, 99));
        check(100, &[(RUNNING, 15, 15)], Fresh);
        check(100, &[(IDLE, 40, 40), (RUNNING, 90, 90)], Copy(1, 90));
        check(100, &[(IDLE, 80, 80), (RUNNING, 90, 90)], Take(0, 80));
    }

    #[test]
    fn typing_takes_the_slot_of_its_own_document_even_if_much_of_it_is_lost() {
        check(1000, &[(SAME, 900, 100)], Take(0, 100));
        check(1000, &[(IDLE, 900, 100)], Copy(0, 100));
        check(1000, &[(IDLE, 900, 110), (SAME, 900, 100)], Take(1, 100));
        // They only share a token with which every prompt begins.
        check(1000, &[(SAME, 900, 1)], Fresh);
    }

    #[test]
    fn what_another_document_was_given_is_not_lost() {
        // A prompt of the text near the cursor, and the whole one: each begins in the same way.
        check(141, &[(OTHER, 240, 138)], Copy(0, 138));
        check(141, &[(IDLE, 240, 138)], Take(0, 138));
        check(393, &[(OTHER, 145, 138)], Take(0, 138));
        check(393, &[(OTHER, 10, 2)], Take(0, 2));
    }

    #[test]
    fn the_last_token_of_the_prompt_is_always_fed() {
        check(100, &[(IDLE, 100, 100)], Take(0, 99));
        check(100, &[(IDLE, 120, 100)], Take(0, 99));
        check(1, &[(IDLE, 1, 1)], Fresh);
    }

    #[test]
    fn among_equals_the_slot_that_loses_least_is_taken_then_the_most_recent() {
        check(100, &[(IDLE, 50, 40), (IDLE, 45, 40), (IDLE, 60, 40)], Take(1, 40));
        check(100, &[(IDLE, 50, 50), (IDLE, 50, 50)], Take(1, 50));
    }
}
