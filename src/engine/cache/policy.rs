//! Which slot a new sequence takes, and which slots have to go: pure decisions from lengths alone.
//!
//! A slot can be cut and continued but not copied, so reuse has a price: what the slot holds beyond the
//! shared prefix is lost to whoever would have come back for it.

use runabout_text::TokenId;

use super::{CacheLimits, InUse};
use crate::model::SlotId;

/// A slot is cut only if what is cut off is at most this many times what is kept. Somebody typing loses a
/// suffix and a few generated tokens with each key, and gains the file before the cursor. A second chat gains
/// the shared system prompt and would lose the whole first chat.
const MAX_LOSS_PER_KEPT: usize = 4;

/// An idle slot as a prompt sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdleSlot {
    pub(super) id: SlotId,
    /// Tokens of the prompt that it holds and that need not be fed again.
    pub(super) n_usable: usize,
    /// Tokens beyond those.
    pub(super) n_lost: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Cut this slot to its first `n_keep` tokens and go on from there.
    Reuse {
        slot: SlotId,
        n_keep: usize,
    },
    Fresh,
}

impl IdleSlot {
    pub(super) fn measure(id: SlotId, ledger: &[TokenId], prompt: &[TokenId]) -> Self {
        let n_shared = ledger.iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count();
        let n_usable = n_shared.min(prompt.len().saturating_sub(1));
        Self { id, n_usable, n_lost: ledger.len() - n_usable }
    }

    fn is_worth_taking(self) -> bool {
        self.n_usable > 0 && self.n_lost <= self.n_usable.saturating_mul(MAX_LOSS_PER_KEPT)
    }
}

/// The slot worth taking that shares most; of equals the one that loses least, then the most recently used.
/// `idle` is in order of use, least recent first.
pub(super) fn choose(idle: &[IdleSlot]) -> Choice {
    idle.iter()
        .filter(|slot| slot.is_worth_taking())
        .max_by_key(|slot| (slot.n_usable, std::cmp::Reverse(slot.n_lost)))
        .map_or(Choice::Fresh, |slot| Choice::Reuse { slot: slot.id, n_keep: slot.n_usable })
}

/// How many idle slots have to go, least recently used first. `sizes` are their lengths in that order.
pub(super) fn n_evictions(
    sizes: &[usize],
    in_use: InUse,
    limits: CacheLimits,
    bytes_per_token: u64,
) -> usize {
    let mut n_slots = in_use.n_slots + sizes.len();
    let mut n_tokens = in_use.n_tokens + sizes.iter().sum::<usize>();
    let mut n_evicted = 0;
    for size in sizes {
        let bytes = bytes_per_token.saturating_mul(n_tokens as u64);
        if n_slots <= limits.n_slots && bytes <= limits.bytes {
            break;
        }
        n_slots -= 1;
        n_tokens -= size;
        n_evicted += 1;
    }
    n_evicted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ledger lengths and how much of a prompt of `n_prompt` tokens each shares, least recently used first,
    /// to the index taken and the tokens kept.
    fn check(n_prompt: usize, slots: &[(usize, usize)], expected: Option<(u32, usize)>) {
        let prompt: Vec<TokenId> = (0..).take(n_prompt).collect();
        let idle: Vec<IdleSlot> = (0..)
            .zip(slots)
            .map(|(idx, &(n_ledger, n_shared))| {
                let ledger: Vec<TokenId> =
                    (0..).take(n_shared).chain(std::iter::repeat(u32::MAX)).take(n_ledger).collect();
                IdleSlot::measure(SlotId(idx), &ledger, &prompt)
            })
            .collect();
        let expected =
            expected.map_or(Choice::Fresh, |(idx, n_keep)| Choice::Reuse { slot: SlotId(idx), n_keep });
        assert_eq!(choose(&idle), expected, "{slots:?} for {n_prompt} tokens");
    }

    #[test]
    fn the_slot_with_the_longest_shared_prefix_is_taken_if_that_is_worth_its_price() {
        check(100, &[], None);
        check(100, &[(50, 0)], None);
        // A chat goes on: all of the slot is kept.
        check(100, &[(50, 50)], Some((0, 50)));
        check(100, &[(30, 30), (50, 50), (40, 40)], Some((1, 50)));
        // Even two tokens are worth taking from a slot that has no others.
        check(100, &[(2, 2)], Some((0, 2)));
        // Typing: the end of the old prompt is cut off.
        check(1000, &[(900, 600)], Some((0, 600)));
        check(1000, &[(900, 200)], Some((0, 200)));
        // Another chat with the same system prompt leaves the long one alone.
        check(250, &[(2000, 200)], None);
        // One that shares the start token only is not worth cutting either.
        check(250, &[(10, 1)], None);
        // The longest has too high a price, the next does not.
        check(250, &[(2000, 200), (160, 150)], Some((1, 150)));
    }

    #[test]
    fn the_last_token_of_the_prompt_is_always_left_to_feed() {
        check(100, &[(100, 100)], Some((0, 99)));
        check(100, &[(120, 100)], Some((0, 99)));
        // Asked for twice, even a short prompt with its answer is found.
        check(10, &[(30, 10)], Some((0, 9)));
        check(1, &[(1, 1)], None);
    }

    #[test]
    fn of_equals_the_one_that_loses_least_and_then_the_most_recent_is_taken() {
        check(100, &[(50, 40), (45, 40), (60, 40)], Some((1, 40)));
        check(100, &[(50, 50), (50, 50)], Some((1, 50)));
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
        for (sizes, in_use, expected) in table {
            assert_eq!(n_evictions(sizes, *in_use, limits, 10), *expected, "{sizes:?} beside {in_use:?}");
        }
    }

    #[test]
    fn a_model_without_kv_bytes_is_bounded_by_slots() {
        let limits = CacheLimits { bytes: 0, n_slots: 1 };
        assert_eq!(n_evictions(&[1000, 1000], InUse::default(), limits, 0), 1);
    }
}
