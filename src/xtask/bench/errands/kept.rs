//! Outcomes in a file, so that a run that was stopped goes on where it was: [`Kept`].

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::set::{Errand, Way};

/// What became of a task.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) answer: Option<String>,
    /// `None` if the answer is right.
    pub(super) why_wrong: Option<String>,
    /// Whether the tool itself said that it failed.
    pub(super) is_owned_up: bool,
    /// What the tool said about its costs.
    pub(super) told: Value,
}

pub(super) struct Kept {
    file: File,
    outcomes: HashMap<String, Outcome>,
}

impl Kept {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut outcomes = HashMap::new();
        // The last line may have been cut off when a run was stopped.
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let Some(key) = line["key"].as_str() else { continue };
            let text = |name: &str| line[name].as_str().map(str::to_owned);
            let outcome = Outcome {
                answer: text("answer"),
                why_wrong: text("why_wrong"),
                is_owned_up: line["is_owned_up"] == true,
                told: line["told"].clone(),
            };
            outcomes.insert(key.to_owned(), outcome);
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
        writeln!(file)?;
        Ok(Self { file, outcomes })
    }

    pub(super) fn outcome(&self, model: &str, way: Way, errand: &Errand) -> Option<&Outcome> {
        self.outcomes.get(&key(model, way, errand))
    }

    pub(super) fn keep(&mut self, model: &str, way: Way, errand: &Errand, outcome: Outcome) -> Result<()> {
        let key = key(model, way, errand);
        let line = json!({
            "key": key, "id": errand.id, "model": model, "way": way.name(), "held_out": errand.held_out,
            "why_wrong": outcome.why_wrong, "is_owned_up": outcome.is_owned_up, "answer": outcome.answer,
            "told": outcome.told,
        });
        writeln!(self.file, "{line}")?;
        self.outcomes.insert(key, outcome);
        Ok(())
    }
}

/// Everything that the outcome depends on, but for the worker.
fn key(model: &str, way: Way, errand: &Errand) -> String {
    let all = json!([model, way.name(), errand.json, errand.text]).to_string();
    format!("{:x}", Sha256::digest(all))
}
