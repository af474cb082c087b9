//! `runabout models recommend`.

use std::io::Write;

use anyhow::{Result, bail};
use runabout_store::{Recommended, recommended};
use serde::Serialize;

use super::description::Memory;
use super::report::print_json;
use super::show::arithmetic;
use super::sizes::size;
use super::table;
use crate::cli::{RecommendArgs, Task};
use crate::memory;

/// On a CPU the time of a token is that of reading the weights from memory, at 10 to 40 GB/s. A suggestion has about ten
/// tokens, and is of use within half a second or so; an answer is read at ten tokens per second.
const CPU_BYTES_OF_SUGGESTION: u64 = 1_200_000_000;
const CPU_BYTES_OF_ANSWER: u64 = 2_500_000_000;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    /// `None` if no model fits.
    recommended: Option<&'static str>,
    candidates: Vec<Candidate>,
    limit_bytes: u64,
    /// The most bytes of weights that may be read for a token, if the device limits them.
    active_limit_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Candidate {
    #[serde(flatten)]
    model: &'static Recommended,
    memory: Memory,
    is_quick: bool,
}

pub(super) fn run(args: &RecommendArgs) -> Result<()> {
    let limit_bytes = match args.memory {
        Some(mib) => mib.saturating_mul(1 << 20),
        None => match memory::default_limit_bytes() {
            Some(it) => it,
            None => bail!("the system does not tell how much memory it has\nhint: give it with `--memory`"),
        },
    };
    let report = report(args.task, args.context, limit_bytes, active_limit_bytes(args.task));
    if args.json {
        return print_json(&report);
    }
    let mut out = std::io::stdout();
    let rows: Vec<Vec<String>> = report.candidates.iter().map(row).collect();
    table::print(&mut out, &["MODEL", " MEMORY", "FITS", " READ PER TOKEN", "QUICK"], &rows)?;
    let limit = size(limit_bytes);
    match args.memory {
        Some(_) => writeln!(out, "\n{limit} may be used, as given.")?,
        None => writeln!(out, "\n{limit} may be used: three quarters of this machine's memory.")?,
    }
    if let Some(limit) = report.active_limit_bytes {
        writeln!(
            out,
            "On a CPU, at most {} should be read for each token, or text comes too slowly.",
            size(limit)
        )?;
    }
    let chosen = report.candidates.iter().find(|it| Some(it.model.reference) == report.recommended);
    match chosen {
        Some(it) => {
            writeln!(out, "\n{}: {}", it.model.reference, arithmetic(&it.memory))?;
            writeln!(out, "`runabout models pull {}` fetches it.", it.model.reference)?;
            if it.model.is_on_the_hub() {
                writeln!(out, "Its size is reckoned from its shape; the hub was not asked for it.")?;
            }
        }
        None => writeln!(out, "\n{}", no_model(&report))?,
    }
    Ok(())
}

/// What could be done if no model fits.
fn no_model(report: &Report) -> String {
    let without_text = |it: &Candidate| it.memory.footprint.weight_bytes + it.memory.other_bytes;
    match report.candidates.iter().map(without_text).min() {
        Some(least) if least > report.limit_bytes => {
            format!("No model fits: the smallest takes {} before any text.", size(least))
        }
        _ => "No model fits; a smaller `--context` takes less.".to_owned(),
    }
}

fn active_limit_bytes(task: Task) -> Option<u64> {
    // On macOS the GPU computes, and reads ten times as fast.
    (!cfg!(target_os = "macos")).then_some(match task {
        Task::Complete => CPU_BYTES_OF_SUGGESTION,
        Task::Chat => CPU_BYTES_OF_ANSWER,
    })
}

/// Chooses the largest model that fits and is quick enough.
fn report(task: Task, n_tokens: u64, limit_bytes: u64, active_limit_bytes: Option<u64>) -> Report {
    let task = match task {
        Task::Complete => runabout_store::Task::Complete,
        Task::Chat => runabout_store::Task::Chat,
    };
    let candidate = |model: &'static Recommended| Candidate {
        memory: Memory::within(model.footprint(n_tokens), Some(limit_bytes)),
        is_quick: active_limit_bytes.is_none_or(|it| model.active_bytes <= it),
        model,
    };
    let candidates: Vec<Candidate> = recommended(task).map(candidate).collect();
    let best = candidates.iter().rev().find(|it| it.memory.fits && it.is_quick);
    let recommended = best.map(|it| it.model.reference);
    Report { recommended, candidates, limit_bytes, active_limit_bytes }
}

fn row(it: &Candidate) -> Vec<String> {
    let yes_no = |it: bool| if it { "yes" } else { "no" }.to_owned();
    vec![
        it.model.reference.to_owned(),
        size(it.memory.needed_bytes),
        yes_no(it.memory.fits),
        size(it.model.active_bytes),
        yes_no(it.is_quick),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_model_that_fits_and_is_quick_is_recommended() {
        let best =
            |task, gigabytes: u64, active| report(task, 8192, gigabytes * 1_000_000_000, active).recommended;
        assert_eq!(best(Task::Complete, 0, None), None);
        assert_eq!(best(Task::Complete, 1, None), Some("qwen2.5-coder-0.5b"));
        assert_eq!(best(Task::Complete, 6, None), Some("mlx-community/Qwen2.5-Coder-7B-Instruct-4bit"));
        assert_eq!(best(Task::Complete, 64, None), Some("mlx-community/Qwen2.5-Coder-32B-Instruct-4bit"));
        assert_eq!(best(Task::Complete, 64, Some(CPU_BYTES_OF_SUGGESTION)), Some("qwen2.5-coder-1.5b"));
        assert_eq!(best(Task::Chat, 64, Some(CPU_BYTES_OF_ANSWER)), Some("mlx-community/Qwen3-4B-4bit"));
        // A mixture of experts needs much memory, and reads little of it.
        let moe = report(Task::Complete, 8192, 64_000_000_000, Some(2_000_000_000));
        assert_eq!(moe.recommended, Some("mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit"));
    }
}
