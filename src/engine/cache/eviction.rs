//! Which idle slots must be evicted so that the cache stays within its limits: a pure decision from sizes alone.

use super::{
    checkpoints::FEW_CHECKPOINTS,
    limits::{CacheLimits, InUse},
};
use crate::model::SlotCost;

/// The facts about an idle slot that eviction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdleSlot {
    pub(super) n_tokens: usize,
    /// The number of tokens that it has memory for.
    pub(super) room: usize,
    pub(super) n_checkpoints: usize,
    /// The length of the longest beginning that another sequence copied and that it can return to.
    pub(super) n_shared: usize,
}

/// What to do with an idle slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// Keep it unchanged.
    Keep,
    /// Keep its tokens, and free the memory that they do not need.
    Shrink,
    /// The same, and drop all but [`FEW_CHECKPOINTS`].
    Thin,
    /// Keep only this many first tokens, which other sequences share, and one checkpoint.
    CutTo(usize),
    /// Evict it.
    Evict,
}

/// Freeing unused memory requires a copy of what the slot holds. That is worthwhile if the unused part is larger than
/// this fraction of what is held: a quarter.
const SLACK_PARTS: usize = 4;

/// Decides what to do with the idle slots, which are given with the least recently used first, so that the limits hold.
///
/// Unused memory is freed first: slots grow in large steps, and rewound slots keep their memory. Then checkpoints are
/// dropped that are needed least. Then slots are evicted, the least recently used first. But a beginning that different
/// prompts have shared, such as a system prompt, is likely to be needed again, so it is kept longer. Those beginnings
/// are evicted last, in the same order.
pub(super) fn retentions(
    idle: &[IdleSlot],
    in_use: InUse,
    limits: CacheLimits,
    cost: SlotCost,
) -> Vec<Retention> {
    let mut sizes: Vec<u64> = idle.iter().map(|it| cost.bytes(it.room, it.n_checkpoints)).collect();
    let mut retentions = vec![Retention::Keep; idle.len()];
    let mut all = sizes.iter().fold(in_use, |all, size| all.and(*size));
    let mut reduce = |idx: usize, retention: Retention, size: u64, all: &mut InUse| {
        all.bytes = all.bytes - sizes[idx] + size;
        all.n_slots -= usize::from(retention == Retention::Evict);
        (sizes[idx], retentions[idx]) = (size, retention);
    };
    let fits = |all: &InUse| limits.allow(*all);
    for (idx, it) in idle.iter().enumerate() {
        if fits(&all) {
            return retentions;
        }
        if it.room > it.n_tokens + it.n_tokens / SLACK_PARTS {
            reduce(idx, Retention::Shrink, cost.bytes(it.n_tokens, it.n_checkpoints), &mut all);
        }
    }
    for (idx, it) in idle.iter().enumerate() {
        if fits(&all) {
            return retentions;
        }
        if it.n_checkpoints > FEW_CHECKPOINTS {
            reduce(idx, Retention::Thin, cost.bytes(it.n_tokens, FEW_CHECKPOINTS), &mut all);
        }
    }
    for (idx, it) in idle.iter().enumerate() {
        if fits(&all) {
            return retentions;
        }
        if it.n_shared == 0 {
            reduce(idx, Retention::Evict, 0, &mut all);
        } else if it.n_shared < it.n_tokens {
            let size = cost.bytes(it.n_shared, it.n_checkpoints.min(1));
            reduce(idx, Retention::CutTo(it.n_shared), size, &mut all);
        }
    }
    for (idx, it) in idle.iter().enumerate() {
        if fits(&all) {
            break;
        }
        if it.n_shared > 0 {
            reduce(idx, Retention::Evict, 0, &mut all);
        }
    }
    retentions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of 10 bytes.
    const COST: SlotCost =
        SlotCost { fixed_bytes: 0, bytes_per_token: 10, checkpoint_bytes: 0, step_tokens: 1 };

    /// A slot whose memory is just large enough.
    const fn kept_whole(n_tokens: usize, n_shared: usize) -> IdleSlot {
        IdleSlot { n_tokens, room: n_tokens, n_checkpoints: 0, n_shared }
    }

    #[test]
    fn unused_memory_is_freed_before_computed_tokens() {
        use Retention::{CutTo, Evict, Keep, Shrink};
        let limits = CacheLimits { bytes: 1000, n_slots: 4 };
        let check = |slots: &[(usize, usize, usize)], expected: &[Retention]| {
            let kept: Vec<IdleSlot> = slots
                .iter()
                .map(|&(n_tokens, room, n_shared)| IdleSlot { n_tokens, room, n_checkpoints: 0, n_shared })
                .collect();
            assert_eq!(retentions(&kept, InUse::default(), limits, COST), expected, "{slots:?}");
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
            (&[10, 10, 10], InUse { n_slots: 1, bytes: 10 }, 1),
            // One token too many, and the oldest is small.
            (&[5, 60, 36], InUse::default(), 1),
            (&[5, 60, 46], InUse::default(), 2),
            // Growth of a running sequence.
            (&[40, 30], InUse { n_slots: 1, bytes: 310 }, 1),
            // Slots in use are not evicted.
            (&[40, 30], InUse { n_slots: 1, bytes: 5000 }, 2),
            // A single slot that is larger than the limit.
            (&[101], InUse::default(), 1),
        ];
        for (sizes, in_use, n_evicted) in table {
            let kept: Vec<IdleSlot> = sizes.iter().map(|&n_tokens| kept_whole(n_tokens, 0)).collect();
            let mut expected = vec![Retention::Evict; *n_evicted];
            expected.resize(sizes.len(), Retention::Keep);
            assert_eq!(retentions(&kept, *in_use, limits, COST), expected, "{sizes:?} beside {in_use:?}");
        }
    }

    #[test]
    fn a_shared_beginning_is_kept_longer_than_slots_used_after_it() {
        use Retention::{CutTo, Evict, Keep};
        let check = |slots: &[(usize, usize)], expected: &[Retention]| {
            let limits = CacheLimits { bytes: 1000, n_slots: 4 };
            let kept: Vec<IdleSlot> =
                slots.iter().map(|&(n_tokens, n_shared)| kept_whole(n_tokens, n_shared)).collect();
            assert_eq!(retentions(&kept, InUse::default(), limits, COST), expected, "{slots:?}");
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
        let cost = SlotCost { bytes_per_token: 0, ..COST };
        assert_eq!(retentions(&kept, InUse::default(), limits, cost), [Retention::Evict, Retention::Keep]);
    }

    #[test]
    fn checkpoints_that_are_needed_least_go_before_slots() {
        use Retention::{CutTo, Evict, Keep, Thin};
        // A slot of 20 tokens takes 300 bytes, and each of its checkpoints 50.
        let cost = SlotCost { fixed_bytes: 100, checkpoint_bytes: 50, ..COST };
        let limits = CacheLimits { bytes: 1000, n_slots: 8 };
        let check = |slots: &[(usize, usize)], expected: &[Retention]| {
            let kept: Vec<IdleSlot> = slots
                .iter()
                .map(|&(n_checkpoints, n_shared)| IdleSlot { n_checkpoints, ..kept_whole(20, n_shared) })
                .collect();
            assert_eq!(retentions(&kept, InUse::default(), limits, cost), expected, "{slots:?}");
        };
        check(&[(4, 0), (4, 0)], &[Keep, Keep]);
        check(&[(4, 0), (5, 0)], &[Thin, Keep]);
        check(&[(8, 0), (8, 0)], &[Thin, Thin]);
        check(&[(2, 0), (2, 0), (2, 0)], &[Evict, Keep, Keep]);
        // 100 + 50 + 50 bytes are left of the first one.
        check(&[(3, 5), (2, 0), (2, 0)], &[CutTo(5), Keep, Keep]);
    }
}
