//! The results: all samples as JSON, and their medians as a table.
//!
//! Every figure comes from this run. After each peer's figure, in parentheses, is the ratio of the worker's figure to
//! it, for each of the worker's precisions. The floor of decoding is the time that reading the weights from memory
//! would take, at the bandwidth measured during the run.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use runabout_store::NamedModel;
use runabout_store::gguf::GgufFile;
use serde_json::{Value, json};

use super::machine::Machine;
use super::program::{Launch, Program};
use super::task::{Sample, Task};

/// The load average up to which the machine counts as idle. The builds before a run cause some load.
const MAX_IDLE_LOAD: f64 = 1.5;
/// The width of a program's column, and of the row names.
const COLUMN: usize = 26;
const ROW: usize = 32;

/// The results of a whole run.
pub(super) struct Results {
    machine: Machine,
    date: String,
    n_rounds: usize,
    models: Vec<ModelResults>,
}

impl Results {
    pub(super) fn new(machine: Machine, n_rounds: usize) -> Self {
        let date = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Self { machine, date, n_rounds, models: Vec::new() }
    }

    pub(super) fn push(&mut self, model: ModelResults) {
        self.models.push(model);
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let Machine { cpu, n_cpus, cpus, load_before } = &self.machine;
        let json = json!({
            "date": self.date,
            "machine": {"cpu": cpu, "n_cpus": n_cpus, "cpus_used": cpus, "load_before": load_before},
            "rounds": self.n_rounds,
            "models": self.models.iter().map(ModelResults::json).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&json)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// The notes below the tables: which machine, when and how.
    pub(super) fn closing(&self) -> String {
        let Machine { cpu, n_cpus, cpus, load_before } = &self.machine;
        let mut text = format!(
            "{cpu}, {} of {n_cpus} CPUs, load {load_before:.1} before; {}; medians of {} rounds.\n",
            cpus.len(),
            self.date,
            self.n_rounds
        );
        if *load_before > MAX_IDLE_LOAD {
            text += "The machine was not idle: these figures show that everything works, not how fast.\n";
        }
        text += "In parentheses: the ratio of each of runabout's figures, from left to right, to this one.\n\
            runabout is timed at the client's end of the pipe, llama.cpp and mlx_lm inside their process \
            around evaluation.\n\
            Start to ready and peak memory (resident, mapped files included) are those of the whole process: \
            for llama.cpp with Node, for mlx_lm with Python.\n\
            All samples: target/bench/peers.json";
        text
    }
}

/// The results of all programs with one model.
pub(super) struct ModelResults {
    name: &'static str,
    file: &'static str,
    sha256: &'static str,
    /// The bytes of the GGUF file, without an embedding of which only single rows are read.
    weight_bytes: u64,
    /// In bytes per second, measured in each round.
    bandwidths: Vec<f64>,
    tasks: Vec<Task>,
    programs: Vec<ProgramResults>,
}

struct ProgramResults {
    name: String,
    is_runabout: bool,
    about: Value,
    starts_s: Vec<f64>,
    peaks_bytes: Vec<f64>,
    /// By task; empty for a task that this program does not do.
    samples: Vec<Vec<Sample>>,
}

impl ModelResults {
    pub(super) fn new(
        model: &NamedModel,
        gguf: &Path,
        tasks: Vec<Task>,
        launches: &[Launch],
    ) -> Result<Self> {
        let programs =
            launches.iter().map(|it| ProgramResults::new(it.name(), it.is_runabout(), tasks.len())).collect();
        let weight_bytes = weight_bytes(&GgufFile::open(gguf)?);
        Ok(Self {
            name: model.name,
            file: model.file,
            sha256: model.sha256,
            weight_bytes,
            bandwidths: Vec::new(),
            tasks,
            programs,
        })
    }

    pub(super) fn push_bandwidth(&mut self, bytes_per_second: f64) {
        self.bandwidths.push(bytes_per_second);
    }

    pub(super) fn push_start(&mut self, program_idx: usize, started: &Program) {
        if let Some(program) = self.programs.get_mut(program_idx) {
            program.starts_s.push(started.ready_in.as_secs_f64());
            program.about = started.about.clone();
        }
    }

    pub(super) fn push_peak_bytes(&mut self, program_idx: usize, bytes: u64) {
        if let Some(program) = self.programs.get_mut(program_idx) {
            program.peaks_bytes.push(bytes as f64);
        }
    }

    pub(super) fn push_sample(&mut self, program_idx: usize, task_idx: usize, sample: Sample) {
        if let Some(samples) = self.programs.get_mut(program_idx).and_then(|it| it.samples.get_mut(task_idx))
        {
            samples.push(sample);
        }
    }

    fn json(&self) -> Value {
        let programs = self.programs.iter().map(|program| {
            let tasks = self.tasks.iter().zip(&program.samples).filter(|(_, samples)| !samples.is_empty());
            let tasks = tasks.map(|(task, samples)| {
                json!({
                    "task": task.to_string(),
                    "tokens_per_second": median(samples.iter().map(|it| it.tokens_per_second())),
                    "samples": samples.iter().map(sample_json).collect::<Vec<_>>(),
                })
            });
            json!({
                "name": program.name,
                "about": program.about,
                "start_seconds": program.starts_s,
                "peak_bytes": program.peaks_bytes,
                "tasks": tasks.collect::<Vec<_>>(),
            })
        });
        json!({
            "name": self.name,
            "file": self.file,
            "sha256": self.sha256,
            "weight_bytes": self.weight_bytes,
            "bandwidth_bytes_per_second": self.bandwidths,
            "programs": programs.collect::<Vec<_>>(),
        })
    }

    /// Rows of figures, with a column for each program.
    pub(super) fn table(&self) -> String {
        let mut text = format!("\n{} ({})\n{:<ROW$}", self.name, self.file, "");
        for program in &self.programs {
            push(&mut text, &program.name);
        }
        for (i, task) in self.tasks.iter().enumerate() {
            let rates = self.programs.iter().map(|it| it.rate(i)).collect::<Vec<_>>();
            self.row(&mut text, &format!("{task}, tokens/s"), &rates, 1);
            if let (Task::Decode { .. }, Some(floor)) = (task, self.floor_rate()) {
                row_of(&mut text, "  of the floor", &rates, |rate| format!("{:.0} %", 100.0 * rate / floor));
            }
        }
        let starts = self.programs.iter().map(|it| median(it.starts_s.iter().copied())).collect::<Vec<_>>();
        self.row(&mut text, "start to ready, s", &starts, 2);
        let peaks = self.programs.iter().map(|it| median(it.peaks_bytes.iter().map(|it| it / 1e6)));
        self.row(&mut text, "peak memory, MB", &peaks.collect::<Vec<_>>(), 0);
        if let (Some(bandwidth), Some(floor)) = (self.bandwidth(), self.floor_rate()) {
            let _ = write!(
                text,
                "\nfloor of decoding: {:.1} MB of weights at {:.1} GB/s are {:.2} ms, {floor:.0} tokens/s",
                self.weight_bytes as f64 / 1e6,
                bandwidth / 1e9,
                1e3 / floor
            );
        }
        for program in self.programs.iter().filter(|it| it.name == "mlx_lm") {
            let _ = write!(text, "\n{} decodes fewer tokens, from one context for all rounds", program.name);
        }
        text.push('\n');
        text
    }

    /// Adds a row of figures; the figure of a peer is followed by the ratio of the worker's figures to it.
    fn row(&self, text: &mut String, name: &str, figures: &[Option<f64>], n_decimals: usize) {
        let own = || self.programs.iter().zip(figures).filter(|(it, _)| it.is_runabout).map(|(_, it)| *it);
        let _ = write!(text, "\n{name:<ROW$}");
        for (program, figure) in self.programs.iter().zip(figures) {
            let Some(figure) = figure else {
                push(text, "-");
                continue;
            };
            let ratios: Vec<String> = own()
                .flatten()
                .map(|it| format!("{:.2}", it / figure))
                .filter(|_| !program.is_runabout)
                .collect();
            let ratios =
                if ratios.is_empty() { String::new() } else { format!(" ({} x)", ratios.join(", ")) };
            push(text, &format!("{figure:.n_decimals$}{ratios}"));
        }
    }

    /// The median. Each reading is already the best of many, and a large cache makes some of them too high.
    fn bandwidth(&self) -> Option<f64> {
        median(self.bandwidths.iter().copied())
    }

    /// The tokens per second if reading the weights were the only work.
    fn floor_rate(&self) -> Option<f64> {
        Some(self.bandwidth()? / self.weight_bytes as f64)
    }
}

impl ProgramResults {
    fn new(name: &str, is_runabout: bool, n_tasks: usize) -> Self {
        Self {
            name: name.to_owned(),
            is_runabout,
            about: Value::Null,
            starts_s: Vec::new(),
            peaks_bytes: Vec::new(),
            samples: vec![Vec::new(); n_tasks],
        }
    }

    fn rate(&self, task_idx: usize) -> Option<f64> {
        median(self.samples.get(task_idx)?.iter().map(|it| it.tokens_per_second()))
    }
}

fn sample_json(sample: &Sample) -> Value {
    json!({"n_tokens": sample.n_tokens, "seconds": sample.seconds, "own_seconds": sample.own_seconds})
}

fn row_of(text: &mut String, name: &str, figures: &[Option<f64>], show: impl Fn(f64) -> String) {
    let _ = write!(text, "\n{name:<ROW$}");
    for figure in figures {
        push(text, &figure.map_or_else(|| "-".to_owned(), &show));
    }
}

fn push(text: &mut String, cell: &str) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{cell:>COLUMN$}");
}

/// The bytes that decoding one token reads. If the output matrix is separate, only single rows of the embedding are
/// read.
fn weight_bytes(gguf: &GgufFile) -> u64 {
    let has_head = gguf.tensor("output.weight").is_some();
    let is_read = |name: &str| !(has_head && name == "token_embd.weight");
    let tensors = gguf.tensors.iter().filter(|it| is_read(&it.name));
    tensors.map(|it| it.row_bytes() as u64 * it.n_rows as u64).sum()
}

fn median(samples: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = samples.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn results() -> ModelResults {
        let tasks = vec![Task::Decode { context: 128, n_tokens: 64 }, Task::Prefill { n_tokens: 512 }];
        let mut programs: Vec<_> = [("runabout", true), ("llama.cpp", false), ("mlx_lm", false)]
            .map(|(name, is_runabout)| ProgramResults::new(name, is_runabout, 2))
            .into();
        let sample = |n_tokens, seconds| Sample { n_tokens, seconds, own_seconds: None };
        programs[0].samples[0] = vec![sample(64, 0.5), sample(64, 1.0), sample(64, 0.64)];
        programs[0].samples[1] = vec![sample(512, 1.0)];
        programs[1].samples[0] = vec![sample(64, 1.6)];
        programs[1].samples[1] = vec![sample(512, 4.0)];
        programs[2].samples[0] = vec![sample(8, 2.0)];
        programs[0].starts_s = vec![0.3];
        programs[1].starts_s = vec![0.6];
        programs[1].peaks_bytes = vec![2e8];
        ModelResults {
            name: "m",
            file: "m.gguf",
            sha256: "00",
            weight_bytes: 100_000_000,
            bandwidths: vec![15e9, 20e9, 40e9],
            tasks,
            programs,
        }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(median([3.0, 1.0, 9.0].into_iter()), Some(3.0));
        assert_eq!(median([4.0, 1.0, 2.0, 9.0].into_iter()), Some(3.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn the_table_has_medians_ratios_and_the_share_of_the_floor() {
        let table = results().table();
        let cells = |name: &str| -> Vec<String> {
            let line = table.lines().find(|it| it.starts_with(name)).unwrap();
            line[ROW..].split("  ").map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        assert_eq!(cells("decode at 128"), ["100.0", "40.0 (2.50 x)", "4.0 (25.00 x)"]);
        assert_eq!(cells("  of the floor"), ["50 %", "20 %", "2 %"]);
        assert_eq!(cells("prefill of 512"), ["512.0", "128.0 (4.00 x)", "-"]);
        assert_eq!(cells("start to ready"), ["0.30", "0.60 (0.50 x)", "-"]);
        assert_eq!(cells("peak memory"), ["-", "200", "-"]);
        assert!(table.contains("100.0 MB of weights at 20.0 GB/s are 5.00 ms, 200 tokens/s"), "{table}");
    }

    #[test]
    fn a_peer_is_compared_with_the_worker_in_each_precision() {
        let mut results = results();
        let mut int8 = ProgramResults::new("runabout, int8", true, 2);
        int8.samples[1] = vec![Sample { n_tokens: 512, seconds: 0.25, own_seconds: None }];
        results.programs.insert(1, int8);
        let table = results.table();
        let line = table.lines().find(|it| it.starts_with("prefill of 512")).unwrap();
        assert_eq!(
            line.split_whitespace().skip(4).collect::<Vec<_>>(),
            ["512.0", "2048.0", "128.0", "(4.00,", "16.00", "x)", "-"]
        );
    }

    #[test]
    fn the_file_has_every_sample() {
        let json = results().json();
        assert_eq!(json["programs"][0]["tasks"][0]["samples"].as_array().unwrap().len(), 3);
        assert_eq!(json["programs"][0]["tasks"][0]["tokens_per_second"], 100.0);
        assert_eq!(json["programs"][2]["tasks"].as_array().unwrap().len(), 1, "mlx_lm was given one task");
        assert_eq!(json["bandwidth_bytes_per_second"], json!([15e9, 20e9, 40e9]));
    }
}
