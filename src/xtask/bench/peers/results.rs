//! The results: all samples as JSON, and their medians as a table.
//!
//! Every figure comes from this run. After each peer's figure, in parentheses, is the ratio of the worker's figure to
//! it, for each of the worker's precisions: the median of the ratios of all rounds, whose spread is in a table of its
//! own. The floor of decoding is the time that reading the weights from memory
//! would take, at the bandwidth measured during the run.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use runabout_store::NamedModel;
use runabout_store::gguf::GgufFile;
use serde_json::{Value, json};

use super::machine::{Machine, Taken};
use super::program::{Launch, MLX_LM, Program};
use super::task::{Sample, Task};

/// The load average up to which the machine counts as idle. The builds before a run cause some load.
const MAX_IDLE_LOAD: f64 = 1.5;
/// The width of a program's column, and of the row names.
const COLUMN: usize = 26;
const ROW: usize = 32;

/// The results of a whole run.
pub(super) struct Results {
    machine: Machine,
    /// The instructions that the worker's kernels use here, and the machine's limits.
    heading: String,
    date: String,
    n_rounds: usize,
    models: Vec<ModelResults>,
}

impl Results {
    pub(super) fn new(machine: Machine, heading: String, n_rounds: usize) -> Self {
        let date = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Self { machine, heading, date, n_rounds, models: Vec::new() }
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn push(&mut self, model: ModelResults) {
        self.models.push(model);
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let Machine { cpu, features, n_cpus, cpus, load_before } = &self.machine;
        let json = json!({
            "date": self.date,
            "machine": {
                "cpu": cpu, "features": features, "n_cpus": n_cpus, "cpus_used": cpus,
                "load_before": load_before, "limits": self.heading,
            },
            "rounds": self.n_rounds,
            "models": self.models.iter().map(ModelResults::json).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&json)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// The notes below the tables: which machine, when and how.
    pub(super) fn closing(&self) -> String {
        let Machine { cpu, features, n_cpus, cpus, load_before } = &self.machine;
        let mut text = format!(
            "{cpu} ({}), {} of {n_cpus} CPUs, load {load_before:.1} before; {}; medians of {} rounds.\n\
            runabout's kernels: {}\n",
            features.join(", "),
            cpus.len(),
            self.date,
            self.n_rounds,
            self.heading,
        );
        let taken: Vec<Taken> = self.models.iter().flat_map(ModelResults::taken).collect();
        let n_disturbed = taken.iter().filter(|it| it.is_much()).count();
        let all =
            Taken { time: taken.iter().map(|it| it.time).sum(), of: taken.iter().map(|it| it.of).sum() };
        let _ = writeln!(
            text,
            "While programs were measured, others had {:.1} % of these CPUs, and more than a tenth in {n_disturbed} of \
            {} samples.",
            100.0 * all.share(),
            taken.len()
        );
        if *load_before > MAX_IDLE_LOAD || n_disturbed * 10 > taken.len() {
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
    /// The numbers of the workers whose figures are compared with this program's.
    compared_with: Vec<usize>,
    about: Value,
    starts_s: Vec<f64>,
    peaks_bytes: Vec<f64>,
    /// By task, then by round; empty for a task that this program does not do.
    samples: Vec<Vec<Sample>>,
    /// What others took, of every sample.
    taken: Vec<Taken>,
}

impl ModelResults {
    pub(super) fn new(
        model: &NamedModel,
        gguf: &Path,
        tasks: Vec<Task>,
        launches: &[Launch],
    ) -> Result<Self> {
        let own_of = |peer: &Launch| {
            let own = launches.iter().enumerate().filter(|(_, own)| peer.is_peer_of(own));
            own.map(|(i, _)| i).collect()
        };
        let programs =
            launches.iter().map(|it| ProgramResults::new(it.name(), own_of(it), tasks.len())).collect();
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

    pub(super) fn push_sample(&mut self, program_idx: usize, task_idx: usize, sample: Sample, taken: Taken) {
        if let Some(program) = self.programs.get_mut(program_idx)
            && let Some(samples) = program.samples.get_mut(task_idx)
        {
            samples.push(sample);
            program.taken.push(taken);
        }
    }

    /// What others took, of every sample.
    fn taken(&self) -> impl Iterator<Item = Taken> {
        self.programs.iter().flat_map(|it| it.taken.iter().copied())
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
                "shares_taken_by_others": program.taken.iter().map(|it| it.share()).collect::<Vec<_>>(),
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

    /// Rows of figures, with a column for each program; then the spread of the ratios.
    pub(super) fn table(&self) -> String {
        let mut text = format!("\n{} ({})\n{:<ROW$}", self.name, self.file, "");
        for program in &self.programs {
            push(&mut text, &program.name);
        }
        let rows = self.rows();
        for row in &rows {
            self.push_row(&mut text, row);
            if let (Some(Task::Decode { .. }), Some(floor)) = (row.task, self.floor_rate()) {
                let _ = write!(text, "\n{:<ROW$}", "  of the floor");
                for figure in &row.figures {
                    let share =
                        median(figure.iter().copied()).map(|it| format!("{:.0} %", 100.0 * it / floor));
                    push(&mut text, share.as_deref().unwrap_or("-"));
                }
            }
        }
        if let (Some(bandwidth), Some(floor)) = (self.bandwidth(), self.floor_rate()) {
            let _ = write!(
                text,
                "\nfloor of decoding: {:.1} MB of weights at {:.1} GB/s are {:.2} ms, {floor:.0} tokens/s",
                self.weight_bytes as f64 / 1e6,
                bandwidth / 1e9,
                1e3 / floor
            );
        }
        if self.programs.iter().any(|it| it.name.starts_with(MLX_LM)) {
            let _ = write!(text, "\n{MLX_LM} decodes fewer tokens, from one context for all rounds");
        }
        text.push_str(
            "\nratios of runabout to the others: the least, the median and the greatest of the rounds",
        );
        for row in &rows {
            self.push_spreads(&mut text, row);
        }
        text.push('\n');
        text
    }

    fn rows(&self) -> Vec<Row> {
        let of_programs = |name: String, task, n_decimals, figures: &dyn Fn(&ProgramResults) -> Vec<f64>| {
            Row { name, task, n_decimals, figures: self.programs.iter().map(figures).collect() }
        };
        let tasks = self
            .tasks
            .iter()
            .enumerate()
            .map(|(i, task)| of_programs(format!("{task}, tokens/s"), Some(*task), 1, &|it| it.rates(i)));
        let start = of_programs("start to ready, s".to_owned(), None, 2, &|it| it.starts_s.clone());
        let peak = of_programs("peak memory, MB".to_owned(), None, 0, &|it| {
            it.peaks_bytes.iter().map(|it| it / 1e6).collect()
        });
        tasks.chain([start, peak]).collect()
    }

    /// Adds a row of figures; the figure of a peer is followed by the ratio of the worker's figures to it.
    fn push_row(&self, text: &mut String, row: &Row) {
        let _ = write!(text, "\n{:<ROW$}", row.name);
        for (i, figures) in row.figures.iter().enumerate() {
            let Some(figure) = median(figures.iter().copied()) else {
                push(text, "-");
                continue;
            };
            let ratios: Vec<String> = self
                .ratios(row, i)
                .filter_map(|(_, ratios)| median(ratios.into_iter()))
                .map(|it| format!("{it:.2}"))
                .collect();
            let ratios =
                if ratios.is_empty() { String::new() } else { format!(" ({} x)", ratios.join(", ")) };
            push(text, &format!("{figure:.*}{ratios}", row.n_decimals));
        }
    }

    /// Adds a line for each ratio of a row: how much it differs from round to round.
    fn push_spreads(&self, text: &mut String, row: &Row) {
        for (i, peer) in self.programs.iter().enumerate() {
            for (own, ratios) in self.ratios(row, i) {
                let least = ratios.iter().copied().reduce(f64::min);
                let greatest = ratios.iter().copied().reduce(f64::max);
                let (Some(least), Some(greatest), Some(median)) =
                    (least, greatest, median(ratios.into_iter()))
                else {
                    continue;
                };
                let names = format!("{} / {}", own.name, peer.name);
                let _ =
                    write!(text, "\n  {:<ROW$}{names:<40}{least:>8.2}{median:>8.2}{greatest:>8.2}", row.name);
            }
        }
    }

    /// For every worker that is compared with this program: its figures divided by the program's, round by round.
    fn ratios(&self, row: &Row, peer_idx: usize) -> impl Iterator<Item = (&ProgramResults, Vec<f64>)> {
        let compared_with = &self.programs[peer_idx].compared_with;
        compared_with.iter().map(move |own_idx| {
            let pairs = row.figures[*own_idx].iter().zip(&row.figures[peer_idx]);
            (&self.programs[*own_idx], pairs.map(|(own, peer)| own / peer).collect())
        })
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

/// A row of the table.
struct Row {
    name: String,
    /// `None` for start and memory.
    task: Option<Task>,
    n_decimals: usize,
    /// By program, then by round; empty for a task that the program does not do.
    figures: Vec<Vec<f64>>,
}

impl ProgramResults {
    fn new(name: &str, compared_with: Vec<usize>, n_tasks: usize) -> Self {
        Self {
            name: name.to_owned(),
            compared_with,
            about: Value::Null,
            starts_s: Vec::new(),
            peaks_bytes: Vec::new(),
            samples: vec![Vec::new(); n_tasks],
            taken: Vec::new(),
        }
    }

    fn rates(&self, task_idx: usize) -> Vec<f64> {
        self.samples.get(task_idx).into_iter().flatten().map(|it| it.tokens_per_second()).collect()
    }
}

fn sample_json(sample: &Sample) -> Value {
    json!({"n_tokens": sample.n_tokens, "seconds": sample.seconds, "own_seconds": sample.own_seconds})
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
        let mut programs: Vec<_> = [("runabout", vec![]), ("llama.cpp", vec![0]), ("mlx_lm", vec![0])]
            .map(|(name, compared_with)| ProgramResults::new(name, compared_with, 2))
            .into();
        let sample = |n_tokens, seconds| Sample { n_tokens, seconds, own_seconds: None };
        programs[0].samples[0] = vec![sample(64, 0.5), sample(64, 1.0), sample(64, 0.64)];
        programs[0].samples[1] = vec![sample(512, 1.0)];
        programs[1].samples[0] = vec![sample(64, 1.6), sample(64, 1.6), sample(64, 0.8)];
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
        // The ratio is the median of 3.2, 1.6 and 1.25, and mlx_lm has done one round.
        assert_eq!(cells("decode at 128"), ["100.0", "40.0 (1.60 x)", "4.0 (32.00 x)"]);
        assert_eq!(cells("  of the floor"), ["50 %", "20 %", "2 %"]);
        assert_eq!(cells("prefill of 512"), ["512.0", "128.0 (4.00 x)", "-"]);
        assert_eq!(cells("start to ready"), ["0.30", "0.60 (0.50 x)", "-"]);
        assert_eq!(cells("peak memory"), ["-", "200", "-"]);
        let spread = |name: &str| -> Vec<String> {
            let (_, ratios) = table.split_once("\nratios").unwrap();
            let line = ratios.lines().find(|it| it.contains(name)).unwrap();
            line.split_whitespace().rev().take(3).map(str::to_owned).collect()
        };
        assert_eq!(spread("runabout / llama.cpp"), ["3.20", "1.60", "1.25"]);
        assert!(table.contains("100.0 MB of weights at 20.0 GB/s are 5.00 ms, 200 tokens/s"), "{table}");
    }

    #[test]
    fn a_peer_is_compared_with_the_worker_in_each_precision() {
        let mut results = results();
        let mut int8 = ProgramResults::new("runabout, int8", vec![], 2);
        int8.samples[1] = vec![Sample { n_tokens: 512, seconds: 0.25, own_seconds: None }];
        results.programs.insert(1, int8);
        for peer in &mut results.programs[2..] {
            peer.compared_with = vec![0, 1];
        }
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
