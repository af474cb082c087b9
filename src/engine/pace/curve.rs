//! What a step takes, by the number of its rows, as a multiple of one with a single row.
//!
//! No straight line: while a step only waits for the weights, rows more cost next to nothing; where the arithmetic takes
//! longer than that they cost their full price, and kernels have sizes that suit them. So steps are remembered by their
//! size, and between the sizes that were seen lies a straight line. A multiple stays what it is when the machine becomes
//! slower for a while.

use std::collections::VecDeque;

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
    n_singles: f64,
    /// Counted in steps.
    at: u64,
}

impl Curve {
    /// A step of `n_rows`, that were generated or guessed, took as long as `n_singles` of one row did lately.
    pub(super) fn record(&mut self, n_rows: usize, n_singles: f64) {
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
            steps.push_back(Wide { n_rows, n_singles, at: n_steps });
        }
    }

    /// Whether nothing is remembered, or not any more.
    pub(super) fn is_empty(&self) -> bool {
        self.sizes.iter().all(VecDeque::is_empty)
    }

    pub(super) fn line(&self) -> Line {
        let mut points = vec![(1.0, 1.0)];
        for steps in self.sizes.iter().filter(|it| it.len() >= MIN_STEPS) {
            // Medians, since some steps wait for what else the machine does.
            let rows = median(steps.iter().map(|it| it.n_rows as f64));
            let n_singles = median(steps.iter().map(|it| it.n_singles));
            // More rows never take less time, though they may be measured so.
            let least = points.last().map_or(0.0, |it| it.1);
            points.push((rows, n_singles.max(least)));
        }
        Line { points }
    }
}

/// Rows of some steps and what those take, with more rows from one to the next.
#[derive(Clone, Debug)]
pub(super) struct Line {
    points: Vec<(f64, f64)>,
}

impl Line {
    /// What a step of `n_rows` takes.
    pub(super) fn at(&self, n_rows: usize) -> f64 {
        let n_rows = n_rows as f64;
        let single = self.points[0];
        // Beyond the last, as if all rows cost alike.
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

    fn curve(steps: &[(usize, f64)]) -> Curve {
        let mut curve = Curve::default();
        for (n_rows, n_singles) in steps {
            for _ in 0..MIN_STEPS {
                curve.record(*n_rows, *n_singles);
            }
        }
        curve
    }

    fn check(curve: &Curve, expected: &[(usize, f64)]) {
        let line = curve.line();
        for (n_rows, expected) in expected {
            let got = line.at(*n_rows);
            assert!((got - expected).abs() < 1e-9, "{n_rows} rows: expected {expected}, got {got}");
        }
    }

    #[test]
    fn what_was_not_measured_is_typical_or_lies_between() {
        check(&curve(&[]), &[(1, 1.0), (2, 1.35), (3, 1.7), (11, 4.5)]);
        check(&curve(&[(8, 2.4)]), &[(1, 1.0), (2, 1.2), (5, 1.8), (8, 2.4), (15, 3.8)]);
        check(&curve(&[(2, 1.1), (20, 6.5)]), &[(1, 1.0), (2, 1.1), (3, 1.4), (20, 6.5)]);
    }

    #[test]
    fn more_rows_never_take_less() {
        check(&curve(&[(2, 0.9), (4, 3.0), (8, 2.0)]), &[(1, 1.0), (2, 1.0), (4, 3.0), (8, 3.0)]);
    }

    #[test]
    fn a_few_steps_say_nothing_yet_and_one_slow_step_never_does() {
        let mut curve = Curve::default();
        for n_singles in [40.0, 1.2] {
            curve.record(2, n_singles);
            check(&curve, &[(2, 1.35)]);
        }
        curve.record(2, 1.2);
        check(&curve, &[(2, 1.2)]);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut curve = curve(&[(8, 50.0)]);
        assert!(curve.line().at(8) > 40.0);
        for _ in 0..=KEEPS {
            curve.record(2, 1.2);
        }
        check(&curve, &[(2, 1.2), (8, 2.4)]);
    }
}
