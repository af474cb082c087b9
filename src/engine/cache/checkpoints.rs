//! The checkpoints of one slot, and which of them is needed least: [`Checkpoints`].
//!
//! A checkpoint saves the tokens between the one before it and itself, if a prompt departs from what the slot holds
//! somewhere behind it. Prompts depart at borders far more often than elsewhere, and most often at the last one: there
//! the next key is typed, or an answer is generated again.

/// The most checkpoints of a slot. With the tokens between them doubling from the end of a prompt to its beginning, a
/// prompt that departs anywhere loses at most about half of what could have been kept.
pub(crate) const MAX_CHECKPOINTS: usize = 8;

/// Idle slots are left with this many if memory is short: the last border, and a beginning that other prompts share.
pub(super) const FEW_CHECKPOINTS: usize = 2;

/// The tokens before a border count as often as this, since prompts depart at borders.
const BORDER_WEIGHT: usize = 4;

/// The checkpoints of a slot, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoints(Vec<Checkpoint>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checkpoint {
    /// The number of tokens that the slot held.
    at: usize,
    /// Whether it was made at a border of a prompt, and not just because a step ended there.
    is_border: bool,
}

impl Checkpoints {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The last one; 0 if there is none, since every slot returns to 0.
    pub(crate) fn last(&self) -> usize {
        self.0.last().map_or(0, |it| it.at)
    }

    /// Records the last one.
    pub(crate) fn push(&mut self, at: usize, is_border: bool) {
        debug_assert!(at > self.last());
        self.0.push(Checkpoint { at, is_border });
    }

    /// Records that the slot was rewound to `n_tokens`, which loses those behind it.
    pub(super) fn rewind(&mut self, n_tokens: usize) {
        self.0.retain(|it| it.at <= n_tokens);
    }

    /// Removes the one that is needed least and returns its length; `None` if there is none. The last border and the
    /// one at `n_shared`, the end of a beginning that other prompts share, come last.
    pub(super) fn pop_least(&mut self, n_shared: usize) -> Option<usize> {
        let last_border = self.0.iter().rposition(|it| it.is_border);
        let rank = |idx: usize, it: &Checkpoint| {
            let before = idx.checked_sub(1).map_or(0, |idx| self.0[idx].at);
            let weight = if it.is_border { BORDER_WEIGHT } else { 1 };
            (it.at == n_shared, Some(idx) == last_border, (it.at - before) * weight)
        };
        // Among equals the first: what is near the end of a prompt changes more often.
        let (idx, _) = self.0.iter().enumerate().min_by_key(|(idx, it)| rank(*idx, it))?;
        Some(self.0.remove(idx).at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which checkpoints are dropped; borders are negative.
    fn order(checkpoints: &[i32], n_shared: usize) -> Vec<usize> {
        let mut all = Checkpoints::default();
        for it in checkpoints {
            all.push(it.unsigned_abs() as usize, *it < 0);
        }
        std::iter::from_fn(|| all.pop_least(n_shared)).collect()
    }

    #[test]
    fn the_one_that_saves_least_is_dropped_first_and_the_last_border_last() {
        assert!(order(&[], 0).is_empty());
        assert_eq!(order(&[512, 1024, 1100, -1500], 0), [1100, 512, 1024, 1500]);
        // A border a hundred tokens after another one is worth as much as four hundred tokens elsewhere.
        assert_eq!(order(&[-100, 300, -1500, 1900], 0), [300, 100, 1900, 1500]);
        // Those that typing leaves behind are close to each other.
        assert_eq!(order(&[512, -1000, -1010, -1020, -1030], 0), [1010, 1020, 512, 1000, 1030]);
    }

    #[test]
    fn what_is_left_of_even_ones_is_denser_near_the_end() {
        let even: Vec<i32> = (1..=16).map(|it| it * 512).collect();
        let dropped = order(&even, 0);
        let mut kept = dropped[8..].to_vec();
        kept.sort_unstable();
        assert_eq!(kept.last(), Some(&(16 * 512)));
        let gaps: Vec<usize> = kept.windows(2).map(|it| it[1] - it[0]).collect();
        assert!(gaps.iter().all(|it| *it <= 1024), "{kept:?}");
    }

    #[test]
    fn a_beginning_that_others_share_is_kept_longest() {
        assert_eq!(order(&[-40, -500, 900], 40), [900, 500, 40]);
    }

    #[test]
    fn rewinding_loses_those_behind() {
        let mut all = Checkpoints::default();
        for at in [10, 20, 30] {
            all.push(at, true);
        }
        all.rewind(20);
        assert_eq!((all.len(), all.last()), (2, 20));
        all.rewind(5);
        assert_eq!((all.len(), all.last()), (0, 0));
    }
}
