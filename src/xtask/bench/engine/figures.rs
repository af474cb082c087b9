//! The figures of a scene: named numbers with units, as a table and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value};

/// Named numbers, in order.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<(String, f64, &'static str)>,
}

impl Figures {
    pub(super) fn push(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push((name.into(), value, unit));
    }

    /// Adds the 50th, 95th and 99th percentile, in milliseconds.
    pub(super) fn push_times(&mut self, name: &str, times: &[Duration]) {
        let ms: Vec<f64> = times.iter().map(|it| it.as_secs_f64() * 1e3).collect();
        for percent in [50, 95, 99] {
            if let Some(value) = percentile(&ms, percent) {
                self.push(format!("{name}, p{percent}"), value, "ms");
            }
        }
    }

    /// Adds figures on how memory grows with the number of requests, from `samples` (requests done, bytes) after the
    /// first `n_warm_up` requests.
    ///
    /// The growth is the difference between the medians of the first tenth and of the last tenth of these samples; the
    /// slope is that of the least-squares line.
    pub(super) fn push_growth(&mut self, name: &str, samples: &[(f64, f64)], n_warm_up: usize) {
        let n_warm = samples.iter().take_while(|(n_done, _)| *n_done <= n_warm_up as f64).count();
        let settled = &samples[n_warm..];
        let bytes = |samples: &[(f64, f64)]| samples.iter().map(|it| it.1).collect::<Vec<f64>>();
        let n_tenth = settled.len().div_ceil(10);
        let (first, last) = (&settled[..n_tenth], &settled[settled.len() - n_tenth..]);
        let (Some(first), Some(last)) = (percentile(&bytes(first), 50), percentile(&bytes(last), 50)) else {
            return;
        };
        let most = |samples: &[(f64, f64)]| bytes(samples).into_iter().fold(0.0, f64::max);
        self.push(format!("{name}, after warm-up"), first / 1e6, "MB");
        self.push(format!("{name}, at the end"), last / 1e6, "MB");
        self.push(format!("{name}, growth"), 100.0 * (last / first - 1.0), "%");
        self.push(format!("{name}, slope in 1000 requests"), 1e3 * slope(settled) / first * 100.0, "%");
        self.push(format!("{name}, most"), most(samples) / 1e6, "MB");
        self.push(format!("{name}, most after warm-up"), most(settled) / 1e6, "MB");
    }

    pub(super) fn table(&self, scene: &str) -> String {
        let width = self.rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
        let mut table = format!("  {scene}\n");
        for (name, value, unit) in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "    {name:<width$}  {value:>10.2} {unit}");
        }
        table
    }

    pub(super) fn json(&self) -> Value {
        let key = |name: &str, unit: &str| {
            if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
        };
        Value::Object(
            self.rows
                .iter()
                .map(|(name, value, unit)| (key(name, unit), (*value).into()))
                .collect::<Map<_, _>>(),
        )
    }
}

/// The smallest value that is not exceeded by `percent` percent of the values; `None` if there are none.
pub(super) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

/// The slope of the least-squares line; 0 if the points do not define one.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len().max(1) as f64;
    let (x, y) = (mean(|it| it.0), mean(|it| it.1));
    let along: f64 = points.iter().map(|it| (it.0 - x).powi(2)).sum();
    let up: f64 = points.iter().map(|it| (it.0 - x) * (it.1 - y)).sum();
    if along > 0.0 { up / along } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), Some(100.0));
        assert_eq!(percentile(&values, 99), Some(198.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn growth_is_measured_after_the_warm_up() {
        let samples: Vec<(f64, f64)> =
            (1..=100).map(|n| (f64::from(n), if n <= 10 { 5e8 } else { 1e8 + f64::from(n) * 1e6 })).collect();
        let mut figures = Figures::default();
        figures.push_growth("x", &samples, 10);
        let figures = figures.json();
        let near = |key: &str, expected: f64| {
            let got = figures[key].as_f64().unwrap_or_default();
            assert!((got - expected).abs() < 1e-6, "{key}: expected {expected}, got {got}");
        };
        near("x, after warm-up (MB)", 115.0);
        near("x, at the end (MB)", 196.0);
        near("x, growth (%)", 100.0 * 81.0 / 115.0);
        near("x, slope in 1000 requests (%)", 100.0 * 1000.0 / 115.0);
        near("x, most (MB)", 500.0);
        near("x, most after warm-up (MB)", 200.0);
        let mut figures = Figures::default();
        figures.push_growth("x", &[], 10);
        assert_eq!(figures.json(), serde_json::json!({}));
    }

    #[test]
    fn figures_are_a_table_and_an_object() {
        let mut figures = Figures::default();
        figures.push("speed", 12.345, "tok/s");
        figures.push_times("wait", &[Duration::from_millis(3)]);
        assert!(
            figures.table("scene").contains("    speed           12.35 tok/s\n"),
            "{}",
            figures.table("scene")
        );
        assert_eq!(figures.json()["wait, p99 (ms)"], 3.0);
    }
}
