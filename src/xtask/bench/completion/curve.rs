//! What a least confidence would do: how many completions are offered, and how many of those are right.
//!
//! A completion is right if its first line is exact. Precision is the share of right ones among those offered, coverage
//! the share of all holes for which one is offered. The area under the curve of precision over coverage does not
//! depend on any threshold: it is the mean precision at each length of the list that is sorted by confidence.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The thresholds in the table.
const THRESHOLDS: [f64; 12] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
/// A threshold suits as the default if it still offers this share of the completions that are right.
const KEPT_BY_DEFAULT: f64 = 0.95;

/// The completions of a program that has confidences, sorted by these, highest first.
pub(super) struct Curve {
    completions: Vec<Judged>,
    n_holes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Judged {
    confidence: f64,
    is_exact: bool,
}

/// What is offered at a threshold.
#[derive(Clone, Copy, Debug)]
struct Offered {
    n: usize,
    n_exact: usize,
}

impl Curve {
    /// For each hole, the confidence of its completion, if it has one, and whether its first line is exact. `None` if
    /// there are no confidences.
    pub(super) fn new(of_holes: impl Iterator<Item = (Option<f64>, bool)>) -> Option<Self> {
        let of_holes: Vec<_> = of_holes.collect();
        let n_holes = of_holes.len();
        let judged =
            |(confidence, is_exact): (Option<f64>, bool)| Some(Judged { confidence: confidence?, is_exact });
        let mut completions: Vec<_> = of_holes.into_iter().filter_map(judged).collect();
        completions.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        (!completions.is_empty()).then_some(Self { completions, n_holes })
    }

    fn offered(&self, threshold: f64) -> Offered {
        let n = self.completions.partition_point(|it| it.confidence >= threshold);
        Offered { n, n_exact: self.completions[..n].iter().filter(|it| it.is_exact).count() }
    }

    /// The area under the curve, from 0 to 1. Completions of equal confidence count as if they were equally right.
    fn area(&self) -> f64 {
        let (mut sum, mut n_exact) = (0.0, 0.0);
        let mut n = 0;
        for equals in self.completions.chunk_by(|a, b| a.confidence.total_cmp(&b.confidence).is_eq()) {
            let share = share(equals.iter().filter(|it| it.is_exact).count(), equals.len());
            for _ in equals {
                n += 1;
                n_exact += share;
                sum += n_exact / f64::from(n);
            }
        }
        sum / f64::from(n)
    }

    /// The area if all completions that are right came first.
    fn best_area(&self) -> f64 {
        let n_exact = self.offered(0.0).n_exact;
        let n = self.completions.len();
        (1..=n).map(|it| share(n_exact.min(it), it)).sum::<f64>() / n as f64
    }

    /// The highest threshold, in hundredths, that suits as the default.
    fn default(&self) -> f64 {
        let n_exact = self.offered(0.0).n_exact as f64;
        let suits = |it: &f64| self.offered(*it).n_exact as f64 >= KEPT_BY_DEFAULT * n_exact;
        (0..=100).rev().map(|it| f64::from(it) / 100.0).find(suits).unwrap_or(0.0)
    }

    pub(super) fn table(&self) -> String {
        let all = self.offered(0.0);
        let mut text =
            format!("{:<12}{:>12}{:>12}{:>24}\n", "confidence", "coverage", "precision", "of the exact ones");
        for threshold in THRESHOLDS {
            let Offered { n, n_exact } = self.offered(threshold);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<12}{:>12.3}{:>12.3}{:>24.3}",
                format!("{threshold:.2}"),
                share(n, self.n_holes),
                share(n_exact, n),
                share(n_exact, all.n_exact),
            );
        }
        let n_wrong = |it: Offered| it.n - it.n_exact;
        let _ = writeln!(
            text,
            "area under the curve {:.3}; {:.3} in any order, {:.3} in the best order\n\
            at {:.2}, {KEPT_BY_DEFAULT} of the exact ones are offered, and {:.3} of the others",
            self.area(),
            share(all.n_exact, all.n),
            self.best_area(),
            self.default(),
            share(n_wrong(self.offered(self.default())), n_wrong(all)),
        );
        text
    }

    pub(super) fn json(&self) -> Value {
        let points = THRESHOLDS.into_iter().map(|threshold| {
            let Offered { n, n_exact } = self.offered(threshold);
            json!({
                "min_confidence": threshold,
                "coverage": share(n, self.n_holes),
                "precision": share(n_exact, n),
            })
        });
        json!({"area": self.area(), "default": self.default(), "points": points.collect::<Vec<_>>()})
    }
}

/// NaN for a share of nothing.
fn share(n: usize, of: usize) -> f64 {
    n as f64 / of as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    fn curve(of_holes: &[(f64, bool)]) -> Curve {
        Curve::new(of_holes.iter().map(|it| (Some(it.0), it.1))).unwrap()
    }

    #[test]
    fn a_threshold_leaves_what_is_at_least_as_confident() {
        let with_an_empty_one = [(Some(0.9), true), (None, false), (Some(0.3), true), (Some(0.5), false)];
        let curve = Curve::new(with_an_empty_one.into_iter()).unwrap();
        let at = |threshold| (curve.offered(threshold).n, curve.offered(threshold).n_exact);
        assert_eq!((at(0.0), at(0.5), at(0.51), at(1.0)), ((3, 2), (2, 1), (1, 1), (0, 0)));
        assert!(curve.table().contains("0.50               0.500       0.500                   0.500"));
        assert!(Curve::new([(None, false)].into_iter()).is_none());
    }

    #[test]
    fn the_default_offers_nearly_all_that_are_right() {
        let mut of_holes: Vec<_> = (0..20).map(|it| (0.3 + f64::from(it) / 100.0, true)).collect();
        of_holes.extend([(0.1, false), (0.305, false)]);
        assert_eq!(curve(&of_holes).default(), 0.31);
    }

    #[test]
    fn the_area_is_one_if_all_are_right_and_the_precision_if_the_order_tells_nothing() {
        assert_eq!(curve(&[(0.9, true), (0.1, true)]).area(), 1.0);
        assert_eq!(curve(&[(0.5, true), (0.5, false), (0.5, false), (0.5, true)]).area(), 0.5);
        let sorted = curve(&[(0.1, false), (0.2, false), (0.8, true), (0.9, true)]);
        assert_eq!(sorted.area(), (1.0 + 1.0 + 2.0 / 3.0 + 0.5) / 4.0);
        assert_eq!(sorted.area(), sorted.best_area());
    }
}
