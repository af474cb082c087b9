//! Measures what drafts cost: rows of a step, and the draft model's time to make drafts and to read.

use std::time::Duration;

use super::{
    costs::{DraftCosts, ModelDraftCosts},
    limits::MAX_DRAFTS,
    row_costs::RowCosts,
};
use crate::pace::{Pace, StepTime, StepTimes};

/// What a token of a prompt costs, as a part of one that is generated, while nothing is measured.
const TYPICAL_READ: f64 = 0.05;

/// A draft must promise this many times what it costs. So a wrong estimate costs little, and drafts that hardly pay are
/// not made.
const MARGIN: f64 = 1.25;

/// A draft model makes about this many drafts at a time.
const TYPICAL_LENGTH: usize = 4;

/// The measured times of drafting.
#[derive(Debug, Default)]
pub(crate) struct CostMeter {
    /// Steps of the model, by their rows.
    rows: RowCosts,
    /// Steps of the draft model that made a draft for each of some sequences.
    drafting: StepTimes,
    /// Steps of the draft model that read tokens which the model knows already.
    reading: StepTimes,
}

impl CostMeter {
    /// Records a step of the model that fed `n_rows`, generated tokens and drafts. Record it with `pace` first, which knows
    /// what a single token takes.
    pub(crate) fn record_step(&mut self, n_rows: usize, elapsed: Duration, pace: &Pace) {
        if let Some(single) = pace.seconds_per_single_step().filter(|it| *it > 0.0) {
            self.rows.record(n_rows, elapsed.as_secs_f64() / single);
        }
        if self.rows.is_empty() {
            // What drafting took is as old, and may be why nothing was drafted since.
            self.drafting.clear();
        }
    }

    /// Records that a draft model made `n_drafts`.
    pub(crate) fn record_drafting(&mut self, n_drafts: usize, elapsed: Duration) {
        self.drafting.record(StepTime { n_tokens: n_drafts, n_useful: n_drafts, elapsed });
    }

    /// Records that a draft model read `n_tokens`.
    pub(crate) fn record_reading(&mut self, n_tokens: usize, elapsed: Duration) {
        self.reading.record(StepTime { n_tokens, n_useful: n_tokens, elapsed });
    }

    /// What drafts cost in a step that serves `n_sequences`.
    ///
    /// `draft_share`: the draft model's part of all weights, if there is one. It is taken to be faster by that while
    /// nothing else is measured.
    pub(crate) fn costs(&self, n_sequences: usize, pace: &Pace, draft_share: Option<f64>) -> DraftCosts {
        let (rows, n_sequences) = (self.rows.line(), n_sequences.max(1));
        let plain_step = rows.at(n_sequences);
        let with_drafts = |n| 1.0 + MARGIN * (rows.at(n_sequences + n) / plain_step - 1.0);
        let steps = (1..=MAX_DRAFTS).map(with_drafts).collect();
        let of_model = |share| {
            // In seconds, or in steps of a single token where nothing is measured.
            let single = pace.seconds_per_single_step().filter(|it| *it > 0.0).unwrap_or(1.0);
            let token = single * plain_step / n_sequences as f64;
            let row = (rows.at(n_sequences + TYPICAL_LENGTH) - plain_step) / TYPICAL_LENGTH as f64;
            let draft = self.drafting.seconds_per_token().unwrap_or(share * token);
            let read = self
                .reading
                .seconds_per_token()
                .or_else(|| pace.seconds_per_prompt_token().map(|it| it * share))
                .unwrap_or(TYPICAL_READ * share * token);
            ModelDraftCosts { draft: MARGIN * (single * row + draft) / token, read: read / token }
        };
        DraftCosts::new(n_sequences, steps, draft_share.map_or(ModelDraftCosts::UNAVAILABLE, of_model))
    }

    /// How many drafts a draft model makes, one after the other, within `target` or the time of a step, whichever is
    /// longer; at least 1.
    pub(crate) fn n_drafts_within(&self, target: Duration, pace: &Pace) -> usize {
        let target = target.as_secs_f64().max(pace.seconds_per_single_step().unwrap_or_default());
        match self.drafting.seconds_per_token() {
            Some(draft) => whole(target / draft).max(1),
            None => usize::MAX,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is out of range is clamped"
)]
fn whole(n_drafts: f64) -> usize {
    n_drafts as usize
}

#[cfg(test)]
mod tests {
    use super::{super::row_costs::TYPICAL_ROW, *};

    const TARGET: Duration = Duration::from_millis(50);

    /// A machine that is measured.
    #[derive(Default)]
    struct Machine {
        pace: Pace,
        meter: CostMeter,
    }

    impl Machine {
        fn decode(&mut self, n_rows: usize, elapsed_ms: u64) {
            let elapsed = ms(elapsed_ms);
            self.pace.record_decode(n_rows, 1, elapsed, Duration::ZERO);
            self.meter.record_step(n_rows, elapsed, &self.pace);
        }

        fn costs(&self, n_sequences: usize) -> DraftCosts {
            self.meter.costs(n_sequences, &self.pace, Some(0.25))
        }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn checking_drafts_costs_what_steps_with_as_many_rows_took() {
        let mut machine = Machine::default();
        let cost = |machine: &Machine, n_sequences, n_drafts| machine.costs(n_sequences).step(n_drafts);
        // Nothing is measured: what is typical.
        assert!((cost(&machine, 1, 2) - (1.0 + MARGIN * 2.0 * TYPICAL_ROW)).abs() < 1e-9);
        machine.decode(1, 10);
        for _ in 0..3 {
            machine.decode(4, 13);
            machine.decode(8, 26);
        }
        assert!((cost(&machine, 1, 3) - (1.0 + MARGIN * 0.3)).abs() < 1e-9);
        // Four sequences share a step of 13 ms.
        assert!((cost(&machine, 4, 4) - (1.0 + MARGIN)).abs() < 1e-9);
        // Where rows cost nothing, any draft is worth it.
        let mut gpu = Machine::default();
        gpu.decode(1, 10);
        for _ in 0..3 {
            gpu.decode(25, 10);
        }
        assert_eq!(gpu.costs(1).n_worth_checking(std::iter::repeat(0.5)), MAX_DRAFTS);
    }

    #[test]
    fn a_machine_that_was_busy_for_a_while_does_not_end_drafting_for_ever() {
        let mut machine = Machine::default();
        machine.decode(1, 10);
        for _ in 0..16 {
            machine.meter.record_drafting(3, ms(500));
            machine.decode(4, 500);
        }
        let sure = || std::iter::repeat(1.0);
        assert_eq!(machine.costs(1).n_worth_checking(sure()), 0);
        assert!(machine.costs(1).model().draft > 1.0);
        for _ in 0..1000 {
            machine.decode(1, 10);
        }
        assert_eq!(machine.costs(1).n_worth_checking(sure()), MAX_DRAFTS);
        assert!(machine.costs(1).model().draft < 1.0);
    }

    #[test]
    fn a_draft_model_costs_its_share_of_a_step_until_it_is_measured() {
        let mut machine = Machine::default();
        let typical = machine.costs(1).model();
        assert!((typical.draft - MARGIN * 0.6).abs() < 1e-9, "{typical:?}");
        assert_eq!(machine.meter.n_drafts_within(TARGET, &machine.pace), usize::MAX);
        machine.decode(1, 40);
        machine.pace.record_prefill(10, 10, ms(40));
        // A tenth of a token's time for a token of the prompt, and a quarter of that for the draft model.
        assert!((machine.costs(1).model().read - 0.025).abs() < 1e-9);
        for _ in 0..3 {
            machine.meter.record_drafting(4, ms(80));
            machine.meter.record_reading(20, ms(40));
        }
        let measured = machine.costs(1).model();
        assert!((measured.draft - MARGIN * (0.35 + 0.5)).abs() < 1e-9, "{measured:?}");
        assert!((measured.read - 0.05).abs() < 1e-9, "{measured:?}");
        // 50 ms, at 20 ms for each.
        assert_eq!(machine.meter.n_drafts_within(TARGET, &machine.pace), 2);
    }
}
