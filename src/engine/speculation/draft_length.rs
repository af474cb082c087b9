//! The number of drafts that a draft model makes at a time for one sequence: [`DraftLength`].
//!
//! Unlike a lookup in the text, a draft model takes time before its drafts are checked, and only then is it known how
//! good they are. So the acceptance rate is learned from the drafts that were made. If they no longer pay off, drafting
//! stops, and a few drafts are tried after a pause that doubles each time.
//!
//! Pure: it knows neither the models nor time.

use super::{acceptance::AcceptanceRate, costs::DraftCosts};

/// The number of drafts made to find out whether they pay off again.
const N_TRIED: usize = 4;

/// The number of tokens without drafts before some are tried again, initially and at most. A try costs a few rows and
/// steps of the draft model, less than two of the model's own steps: initially 3 % of the time.
const PAUSE: usize = 64;
const MAX_PAUSE: usize = 1024;

/// Determines the number of drafts for one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftLength {
    rate: AcceptanceRate,
    /// The number of tokens since the last draft.
    n_since: usize,
    pause: usize,
}

impl DraftLength {
    /// For a sequence of an engine in which drafts have recently been accepted at this rate.
    pub(crate) fn new(rate: AcceptanceRate) -> Self {
        Self { rate: rate.restarted(), n_since: 0, pause: PAUSE }
    }

    /// The number of drafts to make now, at most `max`.
    pub(crate) fn n_drafts(&self, costs: &DraftCosts, max: usize) -> usize {
        let n_drafts = costs.n_worth_making(self.rate.value(), max);
        let is_time_to_try = costs.making_can_pay() && self.n_since >= self.pause;
        if n_drafts == 0 && is_time_to_try { N_TRIED.min(max) } else { n_drafts }
    }

    /// Records a step that yielded `n_drawn` tokens, and accepted the first `n_accepted` of the draft model's
    /// `n_drafted` drafts.
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

    /// Generates `n_tokens` with `n_accepted` of every four drafts accepted. Returns the number of rejected drafts, and
    /// the tokens per step.
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
    fn more_drafts_are_made_if_they_are_accepted() {
        assert!(run(400, 4, &costing(0.4)).1 > 5.0);
        // Fewer if they are expensive.
        assert!(run(400, 4, &costing(0.9)).1 < 5.0);
    }

    #[test]
    fn after_rejections_drafts_are_only_tried_now_and_then() {
        let (n_rejected, _) = run(2000, 0, &costing(0.4));
        assert!((8..60).contains(&n_rejected), "{n_rejected} drafts rejected");
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
