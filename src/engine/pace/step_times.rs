//! How long the last few steps of one kind took.

use std::{collections::VecDeque, time::Duration};

/// Steps that are remembered.
pub(crate) const WINDOW: usize = 16;

/// The last steps of one kind, oldest first.
#[derive(Debug, Default)]
pub(crate) struct StepTimes {
    steps: VecDeque<StepTime>,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepTime {
    /// Tokens that were fed.
    pub(crate) n_tokens: usize,
    /// Tokens that brought a sequence forward: of prompts, or drawn.
    pub(crate) n_useful: usize,
    pub(crate) elapsed: Duration,
}

impl StepTimes {
    /// Records a step, and forgets the oldest where there are too many.
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

    /// Seconds of a step: the median, since a step that follows a pause is slow. `None` before there was one.
    pub(crate) fn seconds_per_step(&self) -> Option<f64> {
        let mut steps: Vec<Duration> = self.steps.iter().map(|it| it.elapsed).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).map(Duration::as_secs_f64)
    }

    /// Seconds of a token that was fed: the median over the steps. `None` where no time was measured.
    pub(crate) fn seconds_per_token(&self) -> Option<f64> {
        let cost = |it: &StepTime| it.elapsed.as_secs_f64() / it.n_tokens.max(1) as f64;
        let mut costs: Vec<f64> = self.steps.iter().map(cost).collect();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().filter(|it| *it > 0.0)
    }

    /// Useful tokens per second, over all steps together. `None` where no time was measured.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        let elapsed: Duration = self.steps.iter().map(|it| it.elapsed).sum();
        let n_tokens: usize = self.steps.iter().map(|it| it.n_useful).sum();
        (!elapsed.is_zero()).then(|| n_tokens as f64 / elapsed.as_secs_f64())
    }
}
