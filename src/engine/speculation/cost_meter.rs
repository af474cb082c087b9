//! Measures the cost of drafts: rows of a step, and the draft model's time for drafting and for reading.

use std::time::Duration;

use super::{
    costs::{DraftCosts, ModelDraftCosts},
    limits::MAX_DRAFTS,
    row_costs::RowCosts,
};
use crate::pace::{Pace, StepTime, StepTimes, to_count};

/// The cost of a prompt token as a fraction of a generated one, before anything is measured.
const TYPICAL_READ: f64 = 0.05;

/// The expected gain of a draft must be this many times its cost. So a wrong estimate costs little, and drafts with
/// hardly any gain are not made.
const MARGIN: f64 = 1.25;

/// Roughly the number of drafts that a draft model makes at a time.
const TYPICAL_LENGTH: usize = 4;

/// The measured times of drafting.
#[derive(Debug, Default)]
pub(crate) struct CostMeter {
    /// Steps of the model, by their number of rows.
    rows: RowCosts,
    /// Steps of the draft model that drafted a token for each of some sequences.
    drafting: StepTimes,
    /// Steps of the draft model that read tokens which are already known.
    reading: StepTimes,
}

impl CostMeter {
    /// Records a step of the model that fed `n_rows`, generated tokens and drafts. `pace`, which knows the time of a
    /// single token, must have recorded the step before.
    pub(crate) fn record_step(&mut self, n_rows: usize, elapsed: Duration, pace: &Pace) {
        if let Some(single) = pace.seconds_per_single_step().filter(|it| *it > 0.0) {
            self.rows.record(n_rows, elapsed.as_secs_f64() / single);
        }
        if self.rows.is_empty() {
            // The drafting times are as old, and may be the reason why nothing has been drafted since.
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

    /// The costs of drafts in a step that serves `n_sequences`.
    ///
    /// `draft_share` is the draft model's fraction of all weights, if there is one. Before anything is measured, the
    /// draft model is assumed to be faster in that proportion.
    pub(crate) fn costs(&self, n_sequences: usize, pace: &Pace, draft_share: Option<f64>) -> DraftCosts {
        let (rows, n_sequences) = (self.rows.line(), n_sequences.max(1));
        let plain_step = rows.at(n_sequences);
        let with_drafts = |n| 1.0 + MARGIN * (rows.at(n_sequences + n) / plain_step - 1.0);
        let steps = (1..=MAX_DRAFTS).map(with_drafts).collect();
        let of_model = |share| {
            // In seconds, or in steps of a single token before anything is measured.
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

    /// The number of drafts that a draft model makes, one after the other, within `target` or the time of a step,
    /// whichever is longer; at least 1.
    pub(crate) fn n_drafts_within(&self, target: Duration, pace: &Pace) -> usize {
        let target = target.as_secs_f64().max(pace.seconds_per_single_step().unwrap_or_default());
        match self.drafting.seconds_per_token() {
            Some(draft) => to_count(target / draft).max(1),
            None => usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::row_costs::TYPICAL_ROW, *};

    const TARGET: Duration = Duration::from_millis(50);

    /// A machine whose times are measured.
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
    fn checking_drafts_costs_as_much_as_measured_steps_with_that_many_rows() {
        let mut machine = Machine::default();
        let cost = |machine: &Machine, n_sequences, n_drafts| machine.costs(n_sequences).step(n_drafts);
        // Nothing is measured, so the typical cost is used.
        assert!((cost(&machine, 1, 2) - (1.0 + MARGIN * 2.0 * TYPICAL_ROW)).abs() < 1e-9);
        machine.decode(1, 10);
        for _ in 0..3 {
            machine.decode(4, 13);
            machine.decode(8, 26);
        }
        assert!((cost(&machine, 1, 3) - (1.0 + MARGIN * 0.3)).abs() < 1e-9);
        // Four sequences share a step of 13 ms.
        assert!((cost(&machine, 4, 4) - (1.0 + MARGIN)).abs() < 1e-9);
        // If rows cost nothing, any draft is worth it.
        let mut gpu = Machine::default();
        gpu.decode(1, 10);
        for _ in 0..3 {
            gpu.decode(25, 10);
        }
        assert_eq!(gpu.costs(1).n_worth_checking(std::iter::repeat(0.5)), MAX_DRAFTS);
    }

    #[test]
    fn drafting_resumes_after_the_machine_was_busy_for_a_while() {
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
        // A prompt token takes a tenth of a token's time, and a quarter of that with the draft model.
        assert!((machine.costs(1).model().read - 0.025).abs() < 1e-9);
        for _ in 0..3 {
            machine.meter.record_drafting(4, ms(80));
            machine.meter.record_reading(20, ms(40));
        }
        let measured = machine.costs(1).model();
        assert!((measured.draft - MARGIN * (0.35 + 0.5)).abs() < 1e-9, "{measured:?}");
        assert!((measured.read - 0.05).abs() < 1e-9, "{measured:?}");
        // 50 ms, at 20 ms each.
        assert_eq!(machine.meter.n_drafts_within(TARGET, &machine.pace), 2);
    }
}
