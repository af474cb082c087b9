//! Eight files in one call of `map_files`, against the same files one call after the other.
//!
//! Each round changes the files' first line, so that nothing of them is in the cache.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::agent::Agent;
use super::set::Errand;

const N_FILES: usize = 8;
const N_ROUNDS: usize = 3;
/// The most tokens for each file. A summary ends sooner, or here.
const MAX_TOKENS: usize = 64;

/// Times both ways, alternately, and prints the medians.
pub(super) fn compare(agent: &mut Agent, model: &str, errands: &[Errand], root: &Path) -> Result<()> {
    let folder = root.join("together");
    fs::create_dir_all(&folder)?;
    let mut texts: Vec<&str> = Vec::new();
    for errand in errands.iter().filter(|it| it.file_name.rsplit_once('.').is_some_and(|it| it.1 == "py")) {
        if !texts.contains(&errand.text.as_str()) {
            texts.push(&errand.text);
        }
    }
    ensure!(texts.len() >= N_FILES, "expected {N_FILES} files, got {}", texts.len());
    let write = |round: usize, way: &str| -> Result<Vec<String>> {
        texts
            .iter()
            .take(N_FILES)
            .enumerate()
            .map(|(i, text)| {
                let name = format!("together/file-{i}.py");
                fs::write(root.join(&name), format!("# {way}, round {round}, file {i}\n{text}"))?;
                Ok(name)
            })
            .collect()
    };
    let mut ask = |paths: &[String]| -> Result<(f64, u64)> {
        let start = Instant::now();
        let arguments = json!({"task": "summarize", "paths": paths, "max_tokens": MAX_TOKENS});
        let output = agent.call("map_files", &arguments)?.map_err(anyhow::Error::msg)?;
        let n_tokens = output["evidence"]["completion_tokens"].as_u64().context("no count of tokens")?;
        let failed = output["files"].as_array().into_iter().flatten().find(|it| it["summary"] == Value::Null);
        ensure!(failed.is_none(), "a file has no summary: {}", failed.unwrap_or(&Value::Null));
        Ok((start.elapsed().as_secs_f64(), n_tokens))
    };
    // Loads the model.
    ask(&write(0, "first")?[..1])?;
    let (mut singly, mut together) = (Vec::new(), Vec::new());
    let mut n_tokens = (0, 0);
    for round in 1..=N_ROUNDS {
        let mut sum = (0.0, 0);
        for path in write(round, "one after the other")? {
            let (seconds, n) = ask(&[path])?;
            sum = (sum.0 + seconds, sum.1 + n);
        }
        singly.push(sum.0);
        let (seconds, n) = ask(&write(round, "together")?)?;
        together.push(seconds);
        n_tokens = (sum.1, n);
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (singly, together) = (median(singly), median(together));
    println!(
        "{model}: {N_FILES} files one after the other {singly:.1} s ({} tokens), together {together:.1} s ({} tokens): {:.2} times as fast",
        n_tokens.0,
        n_tokens.1,
        singly / together
    );
    Ok(())
}
