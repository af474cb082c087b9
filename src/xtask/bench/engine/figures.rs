//! The figures of a scene: named numbers with units, as a table for people and as JSON.

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

    /// Median, 95th and 99th of a hundred, in milliseconds.
    pub(super) fn push_times(&mut self, name: &str, times: &[Duration]) {
        let ms: Vec<f64> = times.iter().map(|it| it.as_secs_f64() * 1e3).collect();
        for percent in [50, 95, 99] {
            if let Some(value) = percentile(&ms, percent) {
                self.push(format!("{name}, p{percent}"), value, "ms");
            }
        }
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

/// The smallest value that so many of a hundred do not pass; `None` of nothing.
pub(super) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
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
