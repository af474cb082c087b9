//! [`Recording`]: one completion, with the time at which each piece of its text came.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::client::Client;

/// A file with the cursor in the middle of it.
const PATH: &str = "words.py";
const BEFORE: &str = "\
from collections import Counter


def most_common_words(path, n):
    with open(path) as file:
        ";
const AFTER: &str = "


for word, count in most_common_words(\"essay.txt\", 10):
    print(f\"{count:6} {word}\")
";

/// A completion as a client saw it.
#[derive(Debug, PartialEq)]
pub(super) struct Recording {
    pub(super) model: String,
    /// The CPUs of the machine that it was made on.
    pub(super) n_cpus: usize,
    /// The parameters of the request.
    pub(super) params: Value,
    /// Each delta: milliseconds since the request was sent, and the text.
    pub(super) deltas: Vec<(u64, String)>,
}

impl Recording {
    pub(super) fn make(mut client: Client, model: &str) -> Result<Self> {
        client.call("initialize", &json!({}))?;
        client.wait_until_ready()?;
        let params = json!({"prefix": BEFORE, "suffix": AFTER, "path": PATH, "mode": "block"});
        let sent = Instant::now();
        let id = client.request("complete", &params)?;
        let mut deltas = Vec::new();
        while let Some(text) = client.delta(id)? {
            deltas.push((u64::try_from(sent.elapsed().as_millis())?, text));
        }
        client.result(id)?;
        client.stop()?;
        ensure!(deltas.len() > 1, "the model says nothing that could be shown");
        let n_cpus = std::thread::available_parallelism()?.get();
        Ok(Self { model: model.to_owned(), n_cpus, params, deltas })
    }

    #[cfg(test)]
    pub(super) fn from_json(json: &Value) -> Option<Self> {
        let delta = |it: &Value| Some((it[0].as_u64()?, it[1].as_str()?.to_owned()));
        Some(Self {
            model: json["model"].as_str()?.to_owned(),
            n_cpus: json["cpus"].as_u64()?.try_into().ok()?,
            params: json["params"].clone(),
            deltas: json["deltas"].as_array()?.iter().map(delta).collect::<Option<_>>()?,
        })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"model": self.model, "cpus": self.n_cpus, "params": self.params, "deltas": self.deltas})
    }
}
