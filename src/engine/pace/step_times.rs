//! The durations of the last steps of one kind: [`StepTimes`].

use std::{collections::VecDeque, time::Duration};

/// The number of steps that are kept.
pub(crate) const WINDOW: usize = 16;

/// The last steps of one kind, oldest first.
#[derive(Debug, Default)]
pub(crate) struct StepTimes {
    steps: VecDeque<StepTime>,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepTime {
    /// The tokens that were fed.
    pub(crate) n_tokens: usize,
    /// The tokens that advanced a sequence: prompt tokens, or drawn tokens.
    pub(crate) n_useful: usize,
    pub(crate) elapsed: Duration,
}

impl StepTimes {
    /// Records a step, and drops the oldest one if there are too many.
    pub(crate) fn record(&mut self, step: StepTime) {
        if self.steps.len() == WINDOW {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    pub(crate) fn clear(&mut self) {
        self.steps.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &StepTime> {
        self.steps.iter()
    }

    /// The seconds per step: the median, since a step after a pause is slow. `None` before there was one.
    pub(crate) fn seconds_per_step(&self) -> Option<f64> {
        let mut steps: Vec<Duration> = self.steps.iter().map(|it| it.elapsed).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).map(Duration::as_secs_f64)
    }

    /// The seconds per token fed: the median over the steps. `None` if no time was measured.
    pub(crate) fn seconds_per_token(&self) -> Option<f64> {
        let cost = |it: &StepTime| it.elapsed.as_secs_f64() / it.n_tokens.max(1) as f64;
        let mut costs: Vec<f64> = self.steps.iter().map(cost).collect();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().filter(|it| *it > 0.0)
    }

    /// The useful tokens per second, over all steps together. `None` if no time was measured.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        let elapsed: Duration = self.steps.iter().map(|it| it.elapsed).sum();
        let n_tokens: usize = self.steps.iter().map(|it| it.n_useful).sum();
        (!elapsed.is_zero()).then(|| n_tokens as f64 / elapsed.as_secs_f64())
    }
}
