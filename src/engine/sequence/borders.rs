//! Where the state of a sequence's slot is worth a checkpoint: [`Borders`].
//!
//! A step must end at a border, so each costs about one more step. They are placed where later prompts will probably
//! depart from this one:
//! - before the last token: a user types on, asks again, or wants several choices;
//! - where a part of the prompt begins, such as a message or a file. The last one before the end counts instead of the
//!   last token, since an answer may be rendered in another way when it is a part of the next prompt;
//! - where this prompt itself departs from an earlier one that could not be returned to: the next one will depart at
//!   the same place or shortly behind it.
//!
//! Between borders, and in generated text, a checkpoint is made wherever a step ends after [`FAR`] tokens without one.

use crate::cache::MIN_SAVED;

/// Parts of a prompt that are shorter than this share a border: computing them again takes hardly longer than a step.
const MIN_PART: usize = 64;

/// Without a border, checkpoints are at least this many tokens apart.
const FAR: usize = 512;

/// The borders of a sequence, in ascending order. There are none if its model needs no checkpoints.
#[derive(Debug)]
pub(super) struct Borders {
    places: Vec<usize>,
    are_needed: bool,
}

impl Borders {
    /// Of a model that returns to any length.
    pub(super) const fn unneeded() -> Self {
        Self { places: Vec::new(), are_needed: false }
    }

    /// For a prompt of `n_prompt` tokens in a slot that holds the first `n_held`, with the last checkpoint at
    /// `checkpoint`. Its parts begin at `parts`, in ascending order; the first `n_common` tokens are those of an earlier
    /// prompt.
    pub(super) fn new(
        n_prompt: usize,
        parts: &[usize],
        n_common: usize,
        n_held: usize,
        checkpoint: usize,
    ) -> Self {
        let before_last = n_prompt - 1;
        let near_end = n_prompt.saturating_sub(MIN_SAVED).max(n_held + 1)..before_last;
        let end = parts.iter().copied().find(|it| near_end.contains(it)).unwrap_or(before_last);
        let mut borders = Self { places: Vec::new(), are_needed: true };
        for place in [end, n_common] {
            if place > n_held && place.saturating_sub(checkpoint) >= MIN_SAVED {
                borders.add(place);
            }
        }
        let mut last = checkpoint;
        for part in parts.iter().copied().filter(|it| (n_held + 1..end).contains(it)) {
            if part.saturating_sub(last) >= MIN_PART && end - part >= MIN_SAVED {
                borders.add(part);
                last = part;
            }
        }
        borders
    }

    /// Adds a border, unless there is one so near before it that hardly anything is saved.
    pub(super) fn add(&mut self, place: usize) {
        let n_before = self.places.partition_point(|it| *it < place);
        let is_near = |it: usize| place - it < MIN_SAVED;
        let has_one = self.places.get(n_before) == Some(&place);
        if self.are_needed && !has_one && !n_before.checked_sub(1).is_some_and(|it| is_near(self.places[it]))
        {
            self.places.insert(n_before, place);
        }
    }

    /// The first one behind the first `n_held` tokens.
    pub(super) fn next(&self, n_held: usize) -> Option<usize> {
        self.places.get(self.places.partition_point(|it| *it <= n_held)).copied()
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.places.binary_search(&place).is_ok()
    }

    /// The length from which on the end of any step is worth a checkpoint, if the last one is at `checkpoint`.
    pub(super) fn far_from(&self, checkpoint: usize) -> usize {
        if self.are_needed { checkpoint + FAR } else { usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n_prompt: usize, parts: &[usize], n_common: usize, held: (usize, usize), expected: &[usize]) {
        let borders = Borders::new(n_prompt, parts, n_common, held.0, held.1);
        assert_eq!(borders.places, expected);
    }

    #[test]
    fn there_is_one_before_the_last_token() {
        check(1000, &[], 0, (0, 0), &[999]);
        // A few tokens are quickly computed again.
        check(8, &[], 0, (0, 0), &[]);
        check(1000, &[], 0, (990, 990), &[999]);
        check(1000, &[], 0, (992, 992), &[]);
        // The slot is as it was left by a text, without a checkpoint.
        check(1000, &[], 0, (995, 900), &[999]);
        check(1000, &[], 0, (999, 900), &[]);
    }

    #[test]
    fn a_part_that_begins_near_the_end_counts_instead() {
        check(1000, &[0, 500, 994, 996], 0, (0, 0), &[500, 994]);
        check(1000, &[999], 0, (0, 0), &[999]);
        // The slot is a copy of that beginning, without its checkpoint.
        check(1000, &[994], 0, (994, 0), &[999]);
        check(1000, &[991], 0, (0, 0), &[991, 999]);
    }

    #[test]
    fn short_parts_share_a_border_and_those_that_are_held_have_none() {
        check(2000, &[10, 50, 100, 150, 200], 0, (0, 0), &[100, 200, 1999]);
        check(2000, &[10, 50, 100, 150, 200], 0, (120, 100), &[200, 1999]);
        check(2000, &[2000, 3000], 0, (0, 0), &[1999]);
    }

    #[test]
    fn there_is_one_where_the_prompt_departs_from_an_earlier_one() {
        check(2000, &[], 700, (512, 512), &[700, 1999]);
        check(2000, &[], 515, (512, 512), &[1999]);
        check(2000, &[], 1999, (0, 0), &[1999]);
    }

    #[test]
    fn the_next_one_is_behind_what_is_held() {
        let mut borders = Borders::new(1000, &[500], 0, 0, 0);
        assert_eq!([0, 499, 500, 999].map(|it| borders.next(it)), [Some(500), Some(500), Some(999), None]);
        borders.add(300);
        borders.add(304);
        borders.add(500);
        assert_eq!(borders.places, [300, 500, 999]);
        assert!(borders.contains(300) && !borders.contains(304));
        assert_eq!(borders.far_from(300), 300 + FAR);
    }

    #[test]
    fn a_model_that_returns_anywhere_has_none() {
        let mut borders = Borders::unneeded();
        borders.add(300);
        assert_eq!((borders.next(0), borders.far_from(0)), (None, usize::MAX));
    }
}
