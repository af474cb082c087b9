//! Which idle slots must be evicted so that the cache stays within its limits: a pure decision from lengths alone.

use super::limits::{CacheLimits, InUse};

/// The facts about an idle slot that eviction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdleSlot {
    pub(super) n_tokens: usize,
    /// The number of tokens that it has memory for.
    pub(super) room: usize,
    /// The length of the longest beginning that another sequence copied.
    pub(super) n_shared: usize,
}

/// What to do with an idle slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// Keep it unchanged.
    Keep,
    /// Keep its tokens, and free the memory that they do not need.
    Shrink,
    /// Keep only this many first tokens, which other sequences share.
    CutTo(usize),
    /// Evict it.
    Evict,
}

/// Freeing unused memory requires a copy of what the slot holds. That is worthwhile if the unused part is larger than
/// this fraction of what is held: a quarter.
const SLACK_PARTS: usize = 4;

/// Decides what to do with the idle slots, which are given with the least recently used first, so that the limits hold.
///
/// Unused memory is freed first: slots grow in large steps, and truncated slots keep their memory. Then slots are
/// evicted, the least recently used first. But a beginning that different prompts have shared, such as a system prompt,
/// is likely to be needed again, so it is kept longer. Those beginnings are evicted last, in the same order.
pub(super) fn retentions(
    idle: &[IdleSlot],
    in_use: InUse,
    limits: CacheLimits,
    bytes_per_token: u64,
) -> Vec<Retention> {
    let mut n_slots = in_use.n_slots + idle.len();
    let mut n_tokens = in_use.n_tokens + idle.iter().map(|it| it.room).sum::<usize>();
    let mut rooms: Vec<usize> = idle.iter().map(|it| it.room).collect();
    let fits = |n_slots: usize, n_tokens: usize| {
        n_slots <= limits.n_slots && bytes_per_token.saturating_mul(n_tokens as u64) <= limits.bytes
    };
    let mut retentions = vec![Retention::Keep; idle.len()];
    for ((retention, room), it) in retentions.iter_mut().zip(&mut rooms).zip(idle) {
        if fits(n_slots, n_tokens) {
            return retentions;
        }
        if *room > it.n_tokens + it.n_tokens / SLACK_PARTS {
            n_tokens -= *room - it.n_tokens;
            *room = it.n_tokens;
            *retention = Retention::Shrink;
        }
    }
    for ((retention, room), it) in retentions.iter_mut().zip(&mut rooms).zip(idle) {
        if fits(n_slots, n_tokens) {
            return retentions;
        }
        if it.n_shared == 0 {
            n_slots -= 1;
            n_tokens -= *room;
            *retention = Retention::Evict;
        } else if it.n_shared < it.n_tokens {
            n_tokens -= *room - it.n_shared;
            *room = it.n_shared;
            *retention = Retention::CutTo(it.n_shared);
        }
    }
    for (retention, room) in
        retentions.iter_mut().zip(&rooms).filter(|(retention, _)| **retention != Retention::Evict)
    {
        if fits(n_slots, n_tokens) {
            break;
        }
        n_slots -= 1;
        n_tokens -= room;
        *retention = Retention::Evict;
    }
    retentions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot whose memory is just large enough.
    const fn kept_whole(n_tokens: usize, n_shared: usize) -> IdleSlot {
        IdleSlot { n_tokens, room: n_tokens, n_shared }
    }

    #[test]
    fn unused_memory_is_freed_before_computed_tokens() {
        use Retention::{CutTo, Evict, Keep, Shrink};
        let limits = CacheLimits { bytes: 1000, n_slots: 4 };
        let check = |slots: &[(usize, usize, usize)], expected: &[Retention]| {
            let kept: Vec<IdleSlot> = slots
                .iter()
                .map(|&(n_tokens, room, n_shared)| IdleSlot { n_tokens, room, n_shared })
                .collect();
            assert_eq!(retentions(&kept, InUse::default(), limits, 10), expected, "{slots:?}");
        };
        check(&[(10, 50, 0), (10, 50, 0)], &[Keep, Keep]);
        check(&[(10, 50, 0), (10, 51, 0)], &[Shrink, Keep]);
        // The copy would cost more than it frees.
        check(&[(48, 60, 0), (20, 50, 0)], &[Keep, Shrink]);
        // Shrinking does not free enough here, so one slot is also evicted.
        check(&[(30, 60, 0), (40, 60, 0), (40, 60, 0)], &[Evict, Shrink, Shrink]);
        check(&[(60, 90, 20), (50, 55, 0), (25, 25, 0)], &[CutTo(20), Keep, Keep]);
    }

    #[test]
    fn the_least_recently_used_slots_are_evicted_until_both_limits_hold() {
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
            // Slots in use are not evicted.
            (&[40, 30], InUse { n_slots: 1, n_tokens: 500 }, 2),
            // A single slot that is larger than the limit.
            (&[101], InUse::default(), 1),
        ];
        for (sizes, in_use, n_evicted) in table {
            let kept: Vec<IdleSlot> = sizes.iter().map(|&n_tokens| kept_whole(n_tokens, 0)).collect();
            let mut expected = vec![Retention::Evict; *n_evicted];
            expected.resize(sizes.len(), Retention::Keep);
            assert_eq!(retentions(&kept, *in_use, limits, 10), expected, "{sizes:?} beside {in_use:?}");
        }
    }

    #[test]
    fn a_shared_beginning_is_kept_longer_than_slots_used_after_it() {
        use Retention::{CutTo, Evict, Keep};
        let check = |slots: &[(usize, usize)], expected: &[Retention]| {
            let limits = CacheLimits { bytes: 1000, n_slots: 4 };
            let kept: Vec<IdleSlot> =
                slots.iter().map(|&(n_tokens, n_shared)| kept_whole(n_tokens, n_shared)).collect();
            assert_eq!(retentions(&kept, InUse::default(), limits, 10), expected, "{slots:?}");
        };
        check(&[(50, 20), (50, 0)], &[Keep, Keep]);
        // The rest of its own conversation is evicted first.
        check(&[(50, 20), (50, 0), (10, 0)], &[CutTo(20), Keep, Keep]);
        check(&[(50, 20), (50, 0), (60, 0)], &[CutTo(20), Evict, Keep]);
        // The beginnings are evicted when nothing else is left, the older one first.
        check(&[(50, 20), (90, 0), (90, 30), (90, 0)], &[CutTo(20), Evict, CutTo(30), Evict]);
        check(&[(60, 60), (60, 60), (10, 0)], &[Evict, Keep, Evict]);
    }

    #[test]
    fn a_model_without_kv_bytes_is_bounded_by_slots() {
        let limits = CacheLimits { bytes: 0, n_slots: 1 };
        let kept = [kept_whole(1000, 0); 2];
        assert_eq!(retentions(&kept, InUse::default(), limits, 0), [Retention::Evict, Retention::Keep]);
    }
}
