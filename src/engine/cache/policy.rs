//! Which slot a new sequence takes or copies, and which slots have to go: pure decisions from lengths alone.
//!
//! Taking a slot costs nothing, but what it holds beyond the shared prefix is lost to whoever would have come
//! back for it. Copying costs memory and a memcpy, a few thousandths of the time that computing takes, and
//! loses nothing.

use std::cmp::Reverse;

use runabout_text::TokenId;

use super::limits::{CacheLimits, InUse};
use crate::model::SlotId;

/// Fewer tokens than this are computed again rather than copied: they would cost a slot, and save less than
/// one step.
pub(crate) const MIN_COPY: usize = 16;

/// So many tokens may always be lost: a short text with its prompt, which is quickly computed again.
const TRIFLE: usize = 32;

/// Of a document's own slot so many times more may be lost than is kept: a long suffix behind a cursor near the
/// top. Where less than that is kept, the cursor is somewhere else altogether, and may come back.
const MAX_LOSS_OF_DOCUMENT: usize = 256;

/// A slot as a prompt sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) id: SlotId,
    /// Tokens of the prompt that it holds and that need not be fed again.
    pub(super) n_usable: usize,
    /// Tokens beyond those.
    pub(super) n_lost: usize,
    pub(super) owner: Owner,
}

/// Whose loss it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A sequence that runs: its slot can be copied and not taken.
    Running,
    /// The same document as the prompt's. Somebody types in it, and nobody comes back for how it was before.
    SameDocument,
    /// Anybody.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Cut this slot to its first `n_keep` tokens and go on from there.
    Take {
        slot: SlotId,
        n_keep: usize,
    },
    /// Leave this slot as it is and go on from a copy of its first `n_keep` tokens.
    Copy {
        slot: SlotId,
        n_keep: usize,
    },
    Fresh,
}

impl Choice {
    pub(super) fn n_keep(self) -> usize {
        match self {
            Self::Take { n_keep, .. } | Self::Copy { n_keep, .. } => n_keep,
            Self::Fresh => 0,
        }
    }
}

/// How much of `prompt` need not be fed when these tokens are held: its beginning that is alike, all but its
/// last token at most, since the next token is drawn from what that one yields.
pub(crate) fn n_usable(held: &[TokenId], prompt: &[TokenId]) -> usize {
    let n_alike = held.iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count();
    n_alike.min(prompt.len().saturating_sub(1))
}

impl Source {
    pub(super) fn measure(id: SlotId, owner: Owner, ledger: &[TokenId], prompt: &[TokenId]) -> Self {
        let n_usable = n_usable(ledger, prompt);
        Self { id, n_usable, n_lost: ledger.len() - n_usable, owner }
    }

    /// With so many more tokens of the prompt that stand elsewhere.
    pub(super) fn with_moved(self, n_moved: usize) -> Self {
        Self { n_usable: self.n_usable + n_moved, n_lost: self.n_lost.saturating_sub(n_moved), ..self }
    }

    pub(super) fn may_be_taken(self) -> bool {
        self.n_usable > 0
            && match self.owner {
                Owner::Running => false,
                Owner::SameDocument => self.n_lost <= self.n_usable.saturating_mul(MAX_LOSS_OF_DOCUMENT),
                Owner::Idle => self.n_lost <= self.n_usable.max(TRIFLE),
            }
    }
}

/// The slot that shares most, taken if that loses little, else copied; of equals the one that loses least,
/// then the most recently used. `sources` are in order of use, least recent first.
pub(super) fn choose(sources: &[Source]) -> Choice {
    let best = |sources: &mut dyn Iterator<Item = &Source>| {
        sources.copied().max_by_key(|it| (it.n_usable, Reverse(it.n_lost)))
    };
    let taken = best(&mut sources.iter().filter(|it| it.may_be_taken()));
    let copied = best(&mut sources.iter().filter(|it| it.n_usable >= MIN_COPY));
    let n_by_taking = taken.map_or(0, |it| it.n_usable);
    match (taken, copied) {
        (_, Some(it)) if it.n_usable >= n_by_taking + MIN_COPY => {
            Choice::Copy { slot: it.id, n_keep: it.n_usable }
        }
        (Some(it), _) => Choice::Take { slot: it.id, n_keep: it.n_usable },
        (None, _) => Choice::Fresh,
    }
}

/// What eviction sees of an idle slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) n_tokens: usize,
    /// Tokens that its memory is for.
    pub(super) room: usize,
    /// The longest beginning that another sequence copied.
    pub(super) n_shared: usize,
}

/// What is left of an idle slot: all, a shared beginning, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// All, in no more memory than that needs.
    Fitted,
    CutTo(usize),
    Evicted,
}

/// Memory that a slot has beyond this part of what it holds is worth a copy.
const SLACK_PARTS: usize = 4;

/// What becomes of the idle slots, which come least recently used first, for the limits to hold.
///
/// First goes memory that holds nothing: slots grow in large steps, and those that were cut keep what they had.
///
/// A beginning that different prompts have shared, such as a system prompt, is likely to be asked for again.
/// So slots go by use, but of one with such a beginning that is left; those go last, again by use.
pub(super) fn fates(kept: &[Kept], in_use: InUse, limits: CacheLimits, bytes_per_token: u64) -> Vec<Fate> {
    let mut n_slots = in_use.n_slots + kept.len();
    let mut n_tokens = in_use.n_tokens + kept.iter().map(|it| it.room).sum::<usize>();
    let mut rooms: Vec<usize> = kept.iter().map(|it| it.room).collect();
    let fits = |n_slots: usize, n_tokens: usize| {
        n_slots <= limits.n_slots && bytes_per_token.saturating_mul(n_tokens as u64) <= limits.bytes
    };
    let mut fates = vec![Fate::Kept; kept.len()];
    for ((fate, room), it) in fates.iter_mut().zip(&mut rooms).zip(kept) {
        if fits(n_slots, n_tokens) {
            return fates;
        }
        if *room > it.n_tokens + it.n_tokens / SLACK_PARTS {
            n_tokens -= *room - it.n_tokens;
            *room = it.n_tokens;
            *fate = Fate::Fitted;
        }
    }
    for ((fate, room), it) in fates.iter_mut().zip(&mut rooms).zip(kept) {
        if fits(n_slots, n_tokens) {
            return fates;
        }
        if it.n_shared == 0 {
            n_slots -= 1;
            n_tokens -= *room;
            *fate = Fate::Evicted;
        } else if it.n_shared < it.n_tokens {
            n_tokens -= *room - it.n_shared;
            *room = it.n_shared;
            *fate = Fate::CutTo(it.n_shared);
        }
    }
    for (fate, room) in fates.iter_mut().zip(&rooms).filter(|(fate, _)| **fate != Fate::Evicted) {
        if fits(n_slots, n_tokens) {
            break;
        }
        n_slots -= 1;
        n_tokens -= room;
        *fate = Fate::Evicted;
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Owner = Owner::Running;
    const SAME: Owner = Owner::SameDocument;
    const IDLE: Owner = Owner::Idle;

    enum Expected {
        Take(u32, usize),
        Copy(u32, usize),
        Fresh,
    }
    use Expected::{Copy, Fresh, Take};

    /// Owners, ledger lengths and how much of a prompt of `n_prompt` tokens each shares, least recently used
    /// first, to what is done.
    #[expect(clippy::needless_pass_by_value, reason = "a table reads better without `&`")]
    fn check(n_prompt: usize, slots: &[(Owner, usize, usize)], expected: Expected) {
        let prompt: Vec<TokenId> = (0..).take(n_prompt).collect();
        let sources: Vec<Source> = (0..)
            .zip(slots)
            .map(|(idx, &(owner, n_ledger, n_shared))| {
                let ledger: Vec<TokenId> =
                    (0..).take(n_shared).chain(std::iter::repeat(u32::MAX)).take(n_ledger).collect();
                Source::measure(SlotId(idx), owner, &ledger, &prompt)
            })
            .collect();
        let expected = match expected {
            Take(slot, n_keep) => Choice::Take { slot: SlotId(slot), n_keep },
            Copy(slot, n_keep) => Choice::Copy { slot: SlotId(slot), n_keep },
            Fresh => Choice::Fresh,
        };
        assert_eq!(choose(&sources), expected, "{slots:?} for {n_prompt} tokens");
    }

    #[test]
    fn a_slot_is_taken_where_little_is_lost() {
        check(100, &[], Fresh);
        check(100, &[(IDLE, 50, 0)], Fresh);
        // A chat goes on: all of the slot is kept.
        check(100, &[(IDLE, 50, 50)], Take(0, 50));
        check(100, &[(IDLE, 30, 30), (IDLE, 50, 50), (IDLE, 40, 40)], Take(1, 50));
        // Even two tokens are worth taking from a slot that has no others.
        check(100, &[(IDLE, 2, 2)], Take(0, 2));
        // The end of an answer that is asked for again.
        check(1000, &[(IDLE, 900, 600)], Take(0, 600));
        // Short things are no loss.
        check(10, &[(IDLE, 30, 9)], Take(0, 9));
    }

    #[test]
    fn where_much_would_be_lost_the_shared_beginning_is_copied() {
        // Another chat with the same system prompt leaves the long one alone.
        check(250, &[(IDLE, 2000, 200)], Copy(0, 200));
        // One that shares the start token only is not worth a copy.
        check(250, &[(IDLE, 100, 1)], Fresh);
        // Taking what shares nearly as much is better than a copy.
        check(250, &[(IDLE, 2000, 200), (IDLE, 200, 190)], Take(1, 190));
        check(250, &[(IDLE, 2000, 200), (IDLE, 160, 150)], Copy(0, 200));
    }

    #[test]
    fn what_runs_is_copied_and_never_taken() {
        check(100, &[(RUNNING, 99, 99)], Copy(0, 99));
        check(100, &[(RUNNING, 15, 15)], Fresh);
        check(100, &[(IDLE, 40, 40), (RUNNING, 90, 90)], Copy(1, 90));
        check(100, &[(IDLE, 80, 80), (RUNNING, 90, 90)], Take(0, 80));
    }

    #[test]
    fn whoever_types_takes_their_own_documents_slot_though_much_of_it_is_lost() {
        check(1000, &[(SAME, 900, 100)], Take(0, 100));
        check(1000, &[(IDLE, 900, 100)], Copy(0, 100));
        check(1000, &[(IDLE, 900, 110), (SAME, 900, 100)], Take(1, 100));
        // All they share is a token that begins every prompt.
        check(1000, &[(SAME, 900, 1)], Fresh);
    }

    #[test]
    fn the_last_token_of_the_prompt_is_always_left_to_feed() {
        check(100, &[(IDLE, 100, 100)], Take(0, 99));
        check(100, &[(IDLE, 120, 100)], Take(0, 99));
        check(1, &[(IDLE, 1, 1)], Fresh);
    }

    #[test]
    fn of_equals_the_one_that_loses_least_and_then_the_most_recent_is_taken() {
        check(100, &[(IDLE, 50, 40), (IDLE, 45, 40), (IDLE, 60, 40)], Take(1, 40));
        check(100, &[(IDLE, 50, 50), (IDLE, 50, 50)], Take(1, 50));
    }

    /// In memory of just its size.
    const fn kept_whole(n_tokens: usize, n_shared: usize) -> Kept {
        Kept { n_tokens, room: n_tokens, n_shared }
    }

    #[test]
    fn memory_that_holds_nothing_goes_before_anything_that_was_computed() {
        use Fate::{CutTo, Evicted, Fitted, Kept as All};
        let limits = CacheLimits { bytes: 1000, n_slots: 4 };
        let check = |slots: &[(usize, usize, usize)], expected: &[Fate]| {
            let kept: Vec<Kept> =
                slots.iter().map(|&(n_tokens, room, n_shared)| Kept { n_tokens, room, n_shared }).collect();
            assert_eq!(fates(&kept, InUse::default(), limits, 10), expected, "{slots:?}");
        };
        check(&[(10, 50, 0), (10, 50, 0)], &[All, All]);
        check(&[(10, 50, 0), (10, 51, 0)], &[Fitted, All]);
        // The copy would cost more than it gives.
        check(&[(48, 60, 0), (20, 50, 0)], &[All, Fitted]);
        // What is not enough by itself is done beside what is.
        check(&[(30, 60, 0), (40, 60, 0), (40, 60, 0)], &[Evicted, Fitted, Fitted]);
        check(&[(60, 90, 20), (50, 55, 0), (25, 25, 0)], &[CutTo(20), All, All]);
    }

    #[test]
    fn eviction_goes_by_use_until_both_limits_hold() {
        let limits = CacheLimits { bytes: 1000, n_slots: 3 };
        let table: &[(&[usize], InUse, usize)] = &[
            (&[], InUse::default(), 0),
            (&[40, 30, 30], InUse::default(), 0),
            // One slot too many.
            (&[10, 10, 10, 10], InUse::default(), 1),
            (&[10, 10, 10], InUse { n_slots: 1, n_tokens: 1 }, 1),
            // One token too many, and the oldest is small.
            (&[5, 60, 36], InUse::default(), 1),
            (&[5, 60, 46], InUse::default(), 2),
            // Growth of a running sequence.
            (&[40, 30], InUse { n_slots: 1, n_tokens: 31 }, 1),
            // What is in use is not ours to take.
            (&[40, 30], InUse { n_slots: 1, n_tokens: 500 }, 2),
            // Larger than the limit alone.
            (&[101], InUse::default(), 1),
        ];
        for (sizes, in_use, n_evicted) in table {
            let kept: Vec<Kept> = sizes.iter().map(|&n_tokens| kept_whole(n_tokens, 0)).collect();
            let mut expected = vec![Fate::Evicted; *n_evicted];
            expected.resize(sizes.len(), Fate::Kept);
            assert_eq!(fates(&kept, *in_use, limits, 10), expected, "{sizes:?} beside {in_use:?}");
        }
    }

    #[test]
    fn a_beginning_that_was_shared_outlives_what_was_used_after_it() {
        use Fate::{CutTo, Evicted, Kept as All};
        let check = |slots: &[(usize, usize)], expected: &[Fate]| {
            let limits = CacheLimits { bytes: 1000, n_slots: 4 };
            let kept: Vec<Kept> =
                slots.iter().map(|&(n_tokens, n_shared)| kept_whole(n_tokens, n_shared)).collect();
            assert_eq!(fates(&kept, InUse::default(), limits, 10), expected, "{slots:?}");
        };
        check(&[(50, 20), (50, 0)], &[All, All]);
        // Its own conversation goes first.
        check(&[(50, 20), (50, 0), (10, 0)], &[CutTo(20), All, All]);
        check(&[(50, 20), (50, 0), (60, 0)], &[CutTo(20), Evicted, All]);
        // It goes when nothing else is left, the older before the newer.
        check(&[(50, 20), (90, 0), (90, 30), (90, 0)], &[CutTo(20), Evicted, CutTo(30), Evicted]);
        check(&[(60, 60), (60, 60), (10, 0)], &[Evicted, All, Evicted]);
    }

    #[test]
    fn a_model_without_kv_bytes_is_bounded_by_slots() {
        let limits = CacheLimits { bytes: 0, n_slots: 1 };
        let kept = [kept_whole(1000, 0); 2];
        assert_eq!(fates(&kept, InUse::default(), limits, 0), [Fate::Evicted, Fate::Kept]);
    }
}
