//! How many drafts a draft model makes at a time for one sequence.
//!
//! Unlike a lookup in the text, a draft model costs time before its drafts are checked, and how good they are shows only
//! then. So their acceptance rate is learned from those that were made. Where they do not pay any more they stop, and a
//! few are tried again after a pause that doubles each time.
//!
//! Pure: knows neither the models nor time.

use super::{acceptance::AcceptanceRate, costs::DraftCosts};

/// Drafts made to find out whether they pay again.
const N_TRIED: usize = 4;

/// Tokens without drafts before some are tried again, at first and at most. A try costs a few rows and steps of the draft
/// model, less than two of the model's own steps: 3 % of the time at first.
const PAUSE: usize = 64;
const MAX_PAUSE: usize = 1024;

/// How long the drafts for one sequence should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftLength {
    rate: AcceptanceRate,
    /// Tokens since the last draft.
    n_since: usize,
    pause: usize,
}

impl DraftLength {
    /// For a sequence of an engine whose drafts were accepted at this rate lately.
    pub(crate) fn new(rate: AcceptanceRate) -> Self {
        Self { rate: rate.restarted(), n_since: 0, pause: PAUSE }
    }

    /// How many drafts to make now, at most `max`.
    pub(crate) fn n_drafts(&self, costs: &DraftCosts, max: usize) -> usize {
        let n_drafts = costs.n_worth_making(self.rate.value(), max);
        let is_time_to_try = costs.making_can_pay() && self.n_since >= self.pause;
        if n_drafts == 0 && is_time_to_try { N_TRIED.min(max) } else { n_drafts }
    }

    /// Records a step that yielded `n_drawn` tokens, and accepted the first `n_accepted` of `n_drafted` drafts of the
    /// draft model.
    pub(crate) fn record(&mut self, n_drafted: usize, n_accepted: usize, n_drawn: usize) {
        self.n_since += n_drawn;
        if n_drafted == 0 {
            return;
        }
        self.pause = if self.n_since > self.pause { (2 * self.pause).min(MAX_PAUSE) } else { PAUSE };
        self.n_since = 0;
        self.rate.record_step(n_drafted, n_accepted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costing(draft: f64) -> DraftCosts {
        DraftCosts::of_model(draft, 0.04)
    }

    /// Generates `n_tokens`, of which `n_accepted` in four drafts are accepted; how many drafts were rejected, and tokens
    /// per step.
    fn run(n_tokens: usize, n_accepted: usize, costs: &DraftCosts) -> (usize, f64) {
        let mut length = DraftLength::new(AcceptanceRate::estimated(0.7));
        let (mut n_done, mut n_steps, mut n_vain) = (0, 0, 0);
        while n_done < n_tokens {
            let n_drafted = length.n_drafts(costs, 24);
            let accepted = (0..n_drafted).take_while(|it| (n_done + it) % 4 < n_accepted).count();
            length.record(n_drafted, accepted, accepted + 1);
            n_done += accepted + 1;
            n_steps += 1;
            n_vain += n_drafted - accepted;
        }
        (n_vain, n_done as f64 / f64::from(n_steps))
    }

    #[test]
    fn drafts_that_are_accepted_grow_in_number() {
        assert!(run(400, 4, &costing(0.4)).1 > 5.0);
        // Dear ones less so.
        assert!(run(400, 4, &costing(0.9)).1 < 5.0);
    }

    #[test]
    fn drafts_that_are_rejected_are_left_but_for_a_try_now_and_then() {
        let (n_vain, _) = run(2000, 0, &costing(0.4));
        assert!((8..60).contains(&n_vain), "{n_vain} drafts rejected");
    }

    #[test]
    fn drafts_that_cost_more_than_a_token_are_never_made() {
        assert_eq!(run(2000, 4, &costing(1.1)), (0, 1.0));
    }

    #[test]
    fn a_text_that_becomes_easy_is_drafted_again() {
        let (mut length, costs) = (DraftLength::new(AcceptanceRate::estimated(0.7)), costing(0.5));
        for _ in 0..200 {
            let n_drafted = length.n_drafts(&costs, 8);
            length.record(n_drafted, 0, 1);
        }
        assert_eq!(length.n_drafts(&costs, 8), 0);
        let mut n_steps = 0;
        while n_steps < 800 {
            let n_drafted = length.n_drafts(&costs, 8);
            length.record(n_drafted, n_drafted, n_drafted + 1);
            n_steps += 1;
        }
        assert_eq!(length.n_drafts(&costs, 8), 8);
    }
}
