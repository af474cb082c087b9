//! How far a draft model guesses for one sequence.
//!
//! Unlike a look into the text itself, a guess of a model costs time before it is checked, and whether it is right shows
//! only when it was made. So the chance of a guess is learned from those that were made; where they do not pay any more
//! they stop, and a few are tried again after a pause that doubles each time. A prompt is read by the draft model too
//! before it can guess: not before the sequence has generated so much that guesses could have paid for that, so that
//! short answers to long prompts do not wait for it.
//!
//! Pure: knows neither the models nor time.

use super::acceptance::Chance;

/// So many are made to see whether guesses pay again.
const N_TRIED: usize = 4;

/// Tokens without guesses before they are tried again, at first and at most. Trying costs a few rows and steps of the
/// draft model, less than two of the model's own: 3 % of the time at first.
const PAUSE: usize = 64;
const MAX_PAUSE: usize = 1024;

/// Of the time that generating takes, so much may guesses be expected to save: a speed-up of a third.
const SAVING: f64 = 0.25;

/// Of one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drafting {
    chance: Chance,
    /// Tokens since the last guess.
    n_since: usize,
    pause: usize,
}

/// What guesses cost now, each as a part of what a token costs without them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// To make a guess and to check it, and a margin.
    pub(crate) guess: f64,
    /// To read a token that the model knows already.
    pub(crate) read: f64,
}

impl Drafting {
    /// For a sequence of an engine whose guesses were right with this chance lately.
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance: chance.afresh(), n_since: 0, pause: PAUSE }
    }

    /// Whether to read `n_unread` tokens in order to guess, after `n_generated` were generated.
    pub(crate) fn reading_pays(n_unread: usize, n_generated: usize, cost: Cost) -> bool {
        n_unread <= 1 || n_unread as f64 * cost.read <= n_generated as f64 * SAVING
    }

    /// How many guesses to make, at most `max`: as long as the chance that all of them are right is above what one costs.
    pub(crate) fn n_guesses(&self, cost: Cost, max: usize) -> usize {
        let mut all_right = 1.0;
        let pays = |_: &usize| {
            all_right *= self.chance.value();
            all_right > cost.guess
        };
        let n_guesses = (0..max).take_while(pays).count();
        let is_time_to_try = cost.guess < 1.0 && self.n_since >= self.pause;
        if n_guesses == 0 && is_time_to_try { N_TRIED.min(max) } else { n_guesses }
    }

    /// Takes in a step in which `n_right` of `n_drafted` guesses of the draft model proved right, and which yielded
    /// `n_drawn` tokens.
    pub(crate) fn observe(&mut self, n_drafted: usize, n_right: usize, n_drawn: usize) {
        self.n_since += n_drawn;
        if n_drafted == 0 {
            return;
        }
        self.pause = if self.n_since > self.pause { (2 * self.pause).min(MAX_PAUSE) } else { PAUSE };
        self.n_since = 0;
        self.chance.note_draft(n_drafted, n_right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn costing(guess: f64) -> Cost {
        Cost { guess, read: 0.04 }
    }

    /// Generates `n_tokens` of which `n_right` in four guesses are right; how many were guessed in vain, and tokens per
    /// step.
    fn run(n_tokens: usize, n_right: usize, cost: Cost) -> (usize, f64) {
        let mut drafting = Drafting::new(Chance::of_four(2.8));
        let (mut n_done, mut n_steps, mut n_vain) = (0, 0, 0);
        while n_done < n_tokens {
            let n_drafted = drafting.n_guesses(cost, 24);
            let right = (0..n_drafted).take_while(|it| (n_done + it) % 4 < n_right).count();
            drafting.observe(n_drafted, right, right + 1);
            n_done += right + 1;
            n_steps += 1;
            n_vain += n_drafted - right;
        }
        (n_vain, n_done as f64 / f64::from(n_steps))
    }

    #[test]
    fn guesses_that_are_right_grow_in_number() {
        assert!(run(400, 4, costing(0.4)).1 > 5.0);
        // Dear ones less so.
        assert!(run(400, 4, costing(0.9)).1 < 5.0);
    }

    #[test]
    fn guesses_that_are_wrong_are_left_but_for_a_try_now_and_then() {
        let (n_vain, _) = run(2000, 0, costing(0.4));
        assert!((8..60).contains(&n_vain), "{n_vain} guesses in vain");
    }

    #[test]
    fn guesses_that_cost_more_than_a_token_are_never_made() {
        assert_eq!(run(2000, 4, costing(1.1)), (0, 1.0));
    }

    #[test]
    fn a_text_that_becomes_easy_is_guessed_again() {
        let mut drafting = Drafting::new(Chance::of_four(2.8));
        for _ in 0..200 {
            let n_drafted = drafting.n_guesses(costing(0.5), 8);
            drafting.observe(n_drafted, 0, 1);
        }
        assert_eq!(drafting.n_guesses(costing(0.5), 8), 0);
        let mut n_steps = 0;
        while n_steps < 800 {
            let n_drafted = drafting.n_guesses(costing(0.5), 8);
            drafting.observe(n_drafted, n_drafted, n_drafted + 1);
            n_steps += 1;
        }
        assert_eq!(drafting.n_guesses(costing(0.5), 8), 8);
    }

    #[test]
    fn a_long_prompt_is_read_only_once_that_can_pay() {
        assert!(Drafting::reading_pays(1, 0, costing(0.4)));
        assert!(!Drafting::reading_pays(1000, 100, costing(0.4)));
        assert!(Drafting::reading_pays(1000, 160, costing(0.4)));
    }
}
