//! Tests of errands with a scripted model: what it is asked, and what becomes of its answers.
#![allow(clippy::unwrap_used)]

mod edit;
mod map;

use std::sync::Arc;

use runabout_assist::{Assistant, Facts, HeldTexts, Limits, LoadProgress, ModelHandle};
use runabout_engine::EngineOptions;
use runabout_engine::scripted::{END, Gate, ScriptedModel};
use runabout_files::{Options, Roots, Snapshot};
use runabout_text::SamplingDefaults;
use tempfile::TempDir;

use super::*;

/// A directory with files, as snapshots.
pub(crate) struct Files {
    _directory: TempDir,
    pub(crate) snapshots: Vec<Snapshot>,
}

pub(crate) fn files(files: &[(&str, &str)]) -> Files {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let roots = Roots::open(&[directory.path().to_owned()], Options::default()).unwrap();
    let read = |(name, _): &(&str, &str)| roots.read(&roots.locate(name).unwrap()).unwrap();
    Files { snapshots: files.iter().map(read).collect(), _directory: directory }
}

/// A model that answers each prompt with what `answer` makes of it.
pub(crate) fn model(answer: impl Fn(&str) -> String + Send + 'static) -> ScriptedModel {
    let mut model = ScriptedModel::new(move |held, n_generated| {
        let prompt = &held[..held.len().saturating_sub(n_generated)];
        let bytes: Vec<u8> = prompt.iter().filter_map(|it| u8::try_from(*it).ok()).collect();
        let answer = answer(&String::from_utf8_lossy(&bytes));
        answer.as_bytes().get(n_generated).map_or(END, |it| (*it).into())
    });
    model.description.context_length = 20_000;
    model
}

pub(crate) fn errands(model: ScriptedModel) -> Errands {
    let tokenizer = ScriptedModel::hashing().loaded().tokenizer;
    let facts =
        Facts { name: "scripted".to_owned(), fim: None, tokenizer, defaults: SamplingDefaults::default() };
    let load = |_: &mut dyn FnMut(LoadProgress)| Ok(model.loaded().models);
    let model = ModelHandle::spawn(EngineOptions::default(), |_| Ok((|| Ok(facts), load))).unwrap();
    Errands::new(Assistant::new(model, Arc::new(HeldTexts::new(u64::MAX)), Limits::default()))
}

/// What the prompt asks last: the text after the last mark that only a question has.
pub(crate) fn is_second(prompt: &str) -> bool {
    prompt.contains("That cannot be used")
}

/// Lets the model take one step. The next one waits.
pub(crate) async fn one_step(gate: Gate) -> Gate {
    let passed = tokio::task::spawn_blocking(move || {
        gate.pass();
        gate
    });
    passed.await.unwrap()
}
