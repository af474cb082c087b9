//! Other programs with the same work and the same weights: llama.cpp with the same keystrokes and its prompt cache kept
//! between them, and llama.cpp and mlx_lm with several texts at a time.
//!
//! Their drivers measure times themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::figures::{Figures, percentile};
use super::keys::Keys;
use super::scenes::{N_AT_ONCE, parallel_prompts};
use crate::bench::peers::child::Child;
use crate::bench::peers::{converted, fetch, named};

/// The worker's own choice on two cores.
const N_THREADS: &str = "2";
const CONTEXT_TOKENS: &str = "8192";
/// The context of each of several texts.
const BATCH_CONTEXT_TOKENS: &str = "512";

/// Another program, and what is needed to start it.
pub(super) enum Peer {
    Llama { node_folder: PathBuf, gguf: PathBuf, log: PathBuf },
    MlxLm { python: PathBuf, driver: PathBuf, model: PathBuf, log: PathBuf },
}

impl Peer {
    /// llama.cpp, which is fetched if necessary.
    pub(super) fn llama(folder: &Path, model: &str) -> Result<Self> {
        let node_folder = fetch::node(folder)?.with_file_name("");
        let gguf = fetch::model(folder, named(model)?)?;
        Ok(Self::Llama { node_folder, gguf, log: folder.join("llama.log") })
    }

    /// mlx_lm, with the model in the form that the worker converts it to.
    pub(super) fn mlx_lm(folder: &Path, worker: &Path, model: &str) -> Result<Self> {
        let driver = folder.join("batch.py");
        fs::write(&driver, include_str!("batch.py"))?;
        let python = fetch::python(folder)?;
        let model = converted(worker, &fetch::model(folder, named(model)?)?, folder)?;
        Ok(Self::MlxLm { python, driver, model, log: folder.join("mlx_lm.log") })
    }

    /// Generates several texts at a time. The figures are total tokens per second, as the median over `n_rounds`.
    pub(super) fn batch(&self, n_rounds: usize, n_tokens: usize) -> Result<Figures> {
        let (mut command, log) = match self {
            Self::Llama { node_folder, gguf, log } => {
                let driver = node_folder.join("batch.mjs");
                fs::write(&driver, include_str!("batch.mjs"))?;
                let mut command = Command::new("node");
                let n_sequences = N_AT_ONCE.into_iter().max().unwrap_or(1).to_string();
                command.arg(driver).arg(gguf).args([N_THREADS, BATCH_CONTEXT_TOKENS, &n_sequences]);
                (command, log)
            }
            Self::MlxLm { python, driver, model, log } => {
                let mut command = Command::new(python);
                command.arg(driver).arg(model);
                (command, log)
            }
        };
        let mut child = Child::start(&mut command, log)?;
        child.receive().context("it does not start")?;
        let mut figures = Figures::default();
        for n_jobs in N_AT_ONCE {
            let mut rates = Vec::new();
            for round in 0..n_rounds {
                let prompts: Vec<Value> =
                    parallel_prompts(round, n_jobs).map(|mut it| it["prefix"].take()).collect();
                child.send(&json!({"prompts": prompts, "n_tokens": n_tokens}))?;
                let answer = child.receive()?;
                let of = |key: &str| answer[key].as_f64().with_context(|| format!("no `{key}` in {answer}"));
                rates.push(of("n_drawn")? / of("seconds")?);
            }
            let rate = percentile(&rates, 50).unwrap_or_default();
            figures.push(format!("{n_jobs} at once"), rate, "tok/s");
        }
        child.stop()?;
        Ok(figures)
    }

    /// Types, and measures the cost of each keystroke.
    pub(super) fn type_in(&self, keys: &Keys) -> Result<Figures> {
        let Self::Llama { node_folder, gguf, log } = self else {
            bail!("typing is measured with llama.cpp only")
        };
        let driver = node_folder.join("engine.mjs");
        fs::write(&driver, include_str!("llama.mjs"))?;
        let mut command = Command::new("node");
        command.arg(driver).arg(gguf).args([N_THREADS, CONTEXT_TOKENS]);
        let mut child = Child::start(&mut command, log)?;
        child.receive().context("llama.cpp does not start")?;
        let request = |id: usize, prefix: &str, n_tokens: usize| json!({"id": id, "prefix": prefix, "suffix": keys.suffix, "n_tokens": n_tokens});
        // The editor opens the file.
        child.send(&request(1, keys.before, 1))?;
        child.receive()?;
        for (idx, prefix) in keys.paced().enumerate() {
            child.send(&request(idx + 2, prefix, keys.max_tokens))?;
        }
        let answers = (0..keys.len()).map(|_| child.receive()).collect::<Result<Vec<Value>>>()?;
        child.stop()?;

        let sum = |key: &str| answers.iter().filter_map(|it| it[key].as_f64()).sum::<f64>();
        let firsts: Vec<Duration> = answers
            .iter()
            .filter_map(|it| Some(Duration::from_secs_f64(it["first_ms"].as_f64()? / 1e3)))
            .collect();
        let n_begun = answers.iter().filter(|it| it["n_drawn"] != 0).count();
        let begun = |key: &str| {
            answers.iter().filter(|it| it["n_drawn"] != 0).filter_map(|it| it[key].as_f64()).sum::<f64>()
        };
        let mut figures = Figures::default();
        figures.push_times("key to first token", &firsts);
        figures.push("keys with text", 100.0 * n_begun as f64 / keys.len() as f64, "%");
        figures.push("prompt tokens from the cache", 100.0 * begun("n_cached") / begun("n_prompt"), "%");
        figures.push(
            "prompt tokens computed per key",
            (begun("n_prompt") - begun("n_cached")) / keys.len() as f64,
            "",
        );
        figures.push("tokens drawn per key", sum("n_drawn") / keys.len() as f64, "");
        Ok(figures)
    }
}
