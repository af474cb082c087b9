//! llama.cpp at the same keys, on the same weights, with its prompt cache kept from key to key.
//!
//! Its driver has no protocol to speak and times itself, from when a request's line has been read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::figures::Figures;
use super::keys::Keys;
use crate::bench::peers::child::Child;
use crate::bench::peers::{fetch, named};

/// As many as the worker takes by itself on two cores.
const N_THREADS: &str = "2";
const CONTEXT_TOKENS: &str = "8192";

/// What it takes to start llama.cpp with a model.
pub(super) struct Peer {
    driver: PathBuf,
    gguf: PathBuf,
    log: PathBuf,
}

impl Peer {
    /// Fetches what is not there yet.
    pub(super) fn fetch(folder: &Path, model: &str) -> Result<Self> {
        let beside = fetch::node(folder)?;
        let driver = beside.with_file_name("engine.mjs");
        std::fs::write(&driver, include_str!("llama.mjs"))?;
        Ok(Self { driver, gguf: fetch::model(folder, named(model)?)?, log: folder.join("llama.log") })
    }

    /// Types, and tells what each key cost.
    pub(super) fn type_in(&self, keys: &Keys) -> Result<Figures> {
        let mut command = Command::new("node");
        command.arg(&self.driver).arg(&self.gguf).args([N_THREADS, CONTEXT_TOKENS]);
        let mut child = Child::start(&mut command, &self.log)?;
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
