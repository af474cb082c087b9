//! What a step takes, by the number of its rows.
//!
//! No straight line: while a step only waits for the weights, rows more cost next to nothing; where the arithmetic takes
//! longer than that they cost their full price, and kernels have sizes that suit them. So steps are remembered by their
//! size, and between the sizes that were seen lies a straight line.

use std::{collections::VecDeque, time::Duration};

/// The largest number of rows of each size that is told apart.
const SIZES: [usize; 5] = [2, 4, 8, 16, usize::MAX];

/// Steps that are remembered of each size.
const WINDOW: usize = 8;

/// So many steps tell what a size costs; fewer may have been slow for reasons of their own.
const MIN_STEPS: usize = 3;

/// After so many steps, what was measured is old: it may be the very reason why there were no more of that size. They are
/// tried again.
const KEEPS: u64 = 256;

/// What a row more costs in a step of one, as a part of it, while nothing is measured: 2 rows take 1.35 times
/// as long as one on the CPUs seen so far, and next to nothing more on GPUs.
pub(super) const TYPICAL_ROW: f64 = 0.35;

/// Steps of several rows, by their size.
#[derive(Debug, Default)]
pub(super) struct Curve {
    sizes: [VecDeque<Wide>; SIZES.len()],
    n_steps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Wide {
    n_rows: usize,
    elapsed: Duration,
    /// Counted in steps.
    at: u64,
}

impl Curve {
    /// A step of `n_rows` that were generated or guessed.
    pub(super) fn record(&mut self, n_rows: usize, elapsed: Duration) {
        self.n_steps += 1;
        let n_steps = self.n_steps;
        for steps in &mut self.sizes {
            steps.retain(|it| n_steps - it.at <= KEEPS);
        }
        let size = SIZES.iter().position(|most| n_rows <= *most).map(|size| &mut self.sizes[size]);
        if let Some(steps) = size.filter(|_| n_rows > 1) {
            if steps.len() == WINDOW {
                steps.pop_front();
            }
            steps.push_back(Wide { n_rows, elapsed, at: n_steps });
        }
    }

    /// How long steps take of which one of a single row takes `single` seconds.
    pub(super) fn line(&self, single: f64) -> Line {
        let mut points = vec![(1.0, single)];
        for steps in self.sizes.iter().filter(|it| it.len() >= MIN_STEPS) {
            // Medians, since some steps wait for what else the machine does.
            let rows = median(steps.iter().map(|it| it.n_rows as f64));
            let seconds = median(steps.iter().map(|it| it.elapsed.as_secs_f64()));
            // More rows never take less time, though they may be measured so.
            let least = points.last().map_or(0.0, |it| it.1);
            points.push((rows, seconds.max(least)));
        }
        Line { points }
    }
}

/// Rows and seconds of some steps, with more rows from one to the next.
#[derive(Clone, Debug)]
pub(super) struct Line {
    points: Vec<(f64, f64)>,
}

impl Line {
    /// Seconds that a step of `n_rows` takes.
    pub(super) fn at(&self, n_rows: usize) -> f64 {
        let n_rows = n_rows as f64;
        let single = self.points[0];
        // Beyond the last, as if all rows cost alike.
        let last = self.points[1..].last().copied().unwrap_or((2.0, single.1 * (1.0 + TYPICAL_ROW)));
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

    fn curve(steps: &[(usize, u64)]) -> Curve {
        let mut curve = Curve::default();
        for (n_rows, ms) in steps {
            for _ in 0..MIN_STEPS {
                curve.record(*n_rows, Duration::from_millis(*ms));
            }
        }
        curve
    }

    fn check(curve: &Curve, expected: &[(usize, f64)]) {
        let line = curve.line(0.010);
        for (n_rows, ms) in expected {
            let got = 1e3 * line.at(*n_rows);
            assert!((got - ms).abs() < 1e-9, "{n_rows} rows: expected {ms} ms, got {got}");
        }
    }

    #[test]
    fn what_was_not_measured_is_typical_or_lies_between() {
        check(&curve(&[]), &[(1, 10.0), (2, 13.5), (3, 17.0), (11, 45.0)]);
        check(&curve(&[(8, 24)]), &[(1, 10.0), (2, 12.0), (5, 18.0), (8, 24.0), (15, 38.0)]);
        check(&curve(&[(2, 11), (20, 65)]), &[(1, 10.0), (2, 11.0), (3, 14.0), (20, 65.0)]);
    }

    #[test]
    fn more_rows_never_take_less() {
        check(&curve(&[(2, 9), (4, 30), (8, 20)]), &[(1, 10.0), (2, 10.0), (4, 30.0), (8, 30.0)]);
    }

    #[test]
    fn a_few_steps_say_nothing_yet_and_one_slow_step_never_does() {
        let mut curve = Curve::default();
        for ms in [400, 12] {
            curve.record(2, Duration::from_millis(ms));
            check(&curve, &[(2, 13.5)]);
        }
        curve.record(2, Duration::from_millis(12));
        check(&curve, &[(2, 12.0)]);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut curve = curve(&[(8, 500)]);
        assert!(curve.line(0.010).at(8) > 0.4);
        for _ in 0..=KEEPS {
            curve.record(2, Duration::from_millis(12));
        }
        check(&curve, &[(2, 12.0), (8, 24.0)]);
    }
}
