//! The cost of a step by its number of rows, as a multiple of a step with a single row: [`RowCosts`].
//!
//! The relation is not linear: while a step only waits for the weights, additional rows cost almost nothing; when the
//! arithmetic takes longer than that, they cost their full price, and kernels have preferred sizes. So times are
//! recorded by size, and costs between two measured sizes are interpolated. A multiple does not change when the machine
//! is slower for a while.

use std::collections::VecDeque;

/// The size classes, by their largest number of rows.
const SIZES: [usize; 5] = [2, 4, 8, 16, usize::MAX];

/// The number of steps recorded for each size.
const WINDOW: usize = 8;

/// Fewer steps than this may all have been slow for other reasons, so they do not count.
const MIN_STEPS: usize = 3;

/// A measurement counts for this many steps. It may be the very reason why there were no more steps of that size, so
/// these are tried again.
const MAX_AGE: u64 = 256;

/// The cost of an additional row as a fraction of a step with a single row, before anything is measured: 2 rows take
/// 1.35 times as long as one on the CPUs measured so far; on GPUs almost no longer.
pub(super) const TYPICAL_ROW: f64 = 0.35;

/// The last steps with several rows, by size.
#[derive(Debug, Default)]
pub(super) struct RowCosts {
    sizes: [VecDeque<MeasuredStep>; SIZES.len()],
    n_steps: u64,
}

#[derive(Clone, Copy, Debug)]
struct MeasuredStep {
    n_rows: usize,
    /// Its time, as a multiple of a step with a single row.
    cost: f64,
    /// The number of the step.
    at: u64,
}

impl RowCosts {
    /// Records a step of `n_rows`, generated tokens and drafts, that took as long as `cost` steps of a single row.
    pub(super) fn record(&mut self, n_rows: usize, cost: f64) {
        self.n_steps += 1;
        let n_steps = self.n_steps;
        for steps in &mut self.sizes {
            steps.retain(|it| n_steps - it.at <= MAX_AGE);
        }
        let size = SIZES.iter().position(|most| n_rows <= *most).map(|size| &mut self.sizes[size]);
        if let Some(steps) = size.filter(|_| n_rows > 1) {
            if steps.len() == WINDOW {
                steps.pop_front();
            }
            steps.push_back(MeasuredStep { n_rows, cost, at: n_steps });
        }
    }

    /// Whether no measurement counts (any more).
    pub(super) fn is_empty(&self) -> bool {
        self.sizes.iter().all(VecDeque::is_empty)
    }

    /// The costs as measured so far.
    pub(super) fn line(&self) -> CostLine {
        let mut points = vec![(1.0, 1.0)];
        for steps in self.sizes.iter().filter(|it| it.len() >= MIN_STEPS) {
            // Medians, since some steps wait for other processes.
            let rows = median(steps.iter().map(|it| it.n_rows as f64));
            let cost = median(steps.iter().map(|it| it.cost));
            // More rows never take less time, even if measured so.
            let least = points.last().map_or(0.0, |it| it.1);
            points.push((rows, cost.max(least)));
        }
        CostLine { points }
    }
}

/// Interpolates between measured steps: pairs of rows and cost, in ascending order of rows.
#[derive(Clone, Debug)]
pub(super) struct CostLine {
    points: Vec<(f64, f64)>,
}

impl CostLine {
    /// The cost of a step of `n_rows`.
    pub(super) fn at(&self, n_rows: usize) -> f64 {
        let n_rows = n_rows as f64;
        let single = self.points[0];
        // Beyond the largest measured size, each row is assumed to cost the same.
        let last = self.points[1..].last().copied().unwrap_or((2.0, 1.0 + TYPICAL_ROW));
        let found = self.points.windows(2).find(|it| n_rows <= it[1].0);
        let (from, to) = found.map_or((single, last), |it| (it[0], it[1]));
        from.1 + (to.1 - from.1) * (n_rows - from.0) / (to.0 - from.0)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(steps: &[(usize, f64)]) -> RowCosts {
        let mut costs = RowCosts::default();
        for (n_rows, cost) in steps {
            for _ in 0..MIN_STEPS {
                costs.record(*n_rows, *cost);
            }
        }
        costs
    }

    fn check(costs: &RowCosts, expected: &[(usize, f64)]) {
        let line = costs.line();
        for (n_rows, expected) in expected {
            let got = line.at(*n_rows);
            assert!((got - expected).abs() < 1e-9, "{n_rows} rows: expected {expected}, got {got}");
        }
    }

    #[test]
    fn unmeasured_sizes_are_typical_or_interpolated() {
        check(&measured(&[]), &[(1, 1.0), (2, 1.35), (3, 1.7), (11, 4.5)]);
        check(&measured(&[(8, 2.4)]), &[(1, 1.0), (2, 1.2), (5, 1.8), (8, 2.4), (15, 3.8)]);
        check(&measured(&[(2, 1.1), (20, 6.5)]), &[(1, 1.0), (2, 1.1), (3, 1.4), (20, 6.5)]);
    }

    #[test]
    fn more_rows_never_cost_less() {
        check(&measured(&[(2, 0.9), (4, 3.0), (8, 2.0)]), &[(1, 1.0), (2, 1.0), (4, 3.0), (8, 3.0)]);
    }

    #[test]
    fn a_few_steps_do_not_count_and_a_single_slow_step_never_does() {
        let mut costs = RowCosts::default();
        for cost in [40.0, 1.2] {
            costs.record(2, cost);
            check(&costs, &[(2, 1.35)]);
        }
        costs.record(2, 1.2);
        check(&costs, &[(2, 1.2)]);
    }

    #[test]
    fn old_measurements_are_dropped() {
        let mut costs = measured(&[(8, 50.0)]);
        assert!(costs.line().at(8) > 40.0);
        for _ in 0..=MAX_AGE {
            costs.record(2, 1.2);
        }
        check(&costs, &[(2, 1.2), (8, 2.4)]);
    }
}
