//! `runabout bench`: how fast a model is on this machine, also before its weights are here.
//!
//! The engine is asked as clients ask it, so its steps and limits are those of `serve`. Prompts are random tokens, as in
//! `mlx_lm.benchmark`; the speed does not depend on what they say.

mod measure;
mod shapes;

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use runabout_assist::{LoadError, LoadProgress, LoadStage, Loaded, Models, State};
use runabout_engine::{Engine, EngineOptions, ModelDescription};
use runabout_mlx::{LoadOptions, RandomModel};
use runabout_text::Tokenizer;
use serde::Serialize;

pub(crate) use self::measure::Measure;
use self::measure::Measurement;
use crate::cli::BenchArgs;
use crate::loading;
use crate::memory;
use crate::progress_line;

/// All measurements, as `--json` prints them.
#[derive(Serialize)]
struct Report {
    model: String,
    architecture: String,
    device: String,
    precision: Option<String>,
    weights_bytes: u64,
    load_seconds: f64,
    /// One for each length of prompts.
    medians: Vec<Measurement>,
    runs: Vec<Measurement>,
    /// In GB, as in mlx_lm.
    peak_memory: f64,
}

pub(crate) async fn run(args: BenchArgs) -> Result<()> {
    let started = std::time::Instant::now();
    let (name, engine) = start(&args)?;
    progress_line::show_loading(&engine).await;
    let model = match engine.state() {
        State::Ready(model) => model,
        State::Failed(error) => return Err(error.into()),
        State::Loading(_) => anyhow::bail!("the engine ended while it was loading"),
    };
    let load_seconds = started.elapsed().as_secs_f64();
    let mut measure = Measure::new(engine.clone());
    let n_generated = args.generation_tokens.get();
    let (mut runs, mut medians) = (Vec::new(), Vec::new());
    for n_prompt in args.prompt_tokens.iter().map(|it| it.get()) {
        // The first run of a length also pays for buffers that are new.
        measure.text(&model, n_prompt, n_generated.min(2)).await?;
        let first = runs.len();
        for _ in 0..args.repeats.get() {
            runs.push(measure.text(&model, n_prompt, n_generated).await?);
        }
        medians.extend(Measurement::median(&runs[first..]));
    }
    let report = Report::new(name, &model, load_seconds, medians, runs, &engine);
    let text = if args.json { serde_json::to_string(&report)? + "\n" } else { report.table() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Begins to load the model or to make one up, and returns its name and its engine.
fn start(args: &BenchArgs) -> Result<(String, Engine)> {
    let model = &args.model;
    let options = EngineOptions {
        n_draft_tokens: model.n_draft_tokens(),
        memory_limit_bytes: model.memory_limit_bytes().or_else(memory::default_limit_bytes),
        ..EngineOptions::default()
    };
    let Some(shape) = &args.shape else {
        let handle = loading::start(model, options, Arc::new(OnceLock::from(())))?;
        return Ok((model.model.clone(), handle.engine().clone()));
    };
    let (config, load) = (shapes::config(shape)?, LoadOptions::from(model));
    let limit_bytes = options.memory_limit_bytes;
    let engine = Engine::spawn(options, move |progress| {
        let failed = |message: String| LoadError::Failed { message };
        let model = RandomModel::new(&config, &load).map_err(|it| failed(it.to_string()))?;
        memory::check_weights(model.n_bytes(), limit_bytes)?;
        memory::check_free(model.n_bytes())?;
        let mut report = |done, total| progress(LoadProgress { stage: LoadStage::Load, done, total });
        let model = model.load(&mut report).map_err(|it| failed(it.to_string()))?;
        // Texts are not looked at, so any vocabulary does.
        let tokenizer = Arc::new(Tokenizer::bytes_for_tests());
        Ok(Loaded { models: Models { model: Box::new(model), draft: None }, tokenizer })
    });
    Ok((
        format!("random weights in the shape of {shape}"),
        engine.context("cannot start the engine's thread")?,
    ))
}

impl Report {
    fn new(
        name: String,
        model: &ModelDescription,
        load_seconds: f64,
        medians: Vec<Measurement>,
        runs: Vec<Measurement>,
        engine: &Engine,
    ) -> Self {
        Self {
            model: name,
            architecture: model.architecture.clone(),
            device: model.device.clone(),
            precision: model.precision.clone(),
            weights_bytes: model.weights_bytes,
            load_seconds,
            medians,
            runs,
            peak_memory: engine.status().memory.peak_bytes as f64 / 1e9,
        }
    }

    fn table(&self) -> String {
        let precision = self.precision.as_ref().map_or_else(String::new, |it| format!(", {it}"));
        let mut table = format!(
            "{}: {}, {:.2} GB of weights, on {}{precision}; loaded in {:.1} s\n\n{:>8}{:>16}{:>17}{:>19}\n",
            self.model,
            self.architecture,
            self.weights_bytes as f64 / 1e9,
            self.device,
            self.load_seconds,
            "prompt",
            "prompt tok/s",
            "first token, s",
            "generated tok/s"
        );
        for it in &self.medians {
            let _ = writeln!(
                table,
                "{:>8}{:>16.1}{:>17.3}{:>19.1}",
                it.prompt_tokens, it.prompt_tps, it.first_token_seconds, it.generation_tps
            );
        }
        let n_each = self.runs.len() / self.medians.len().max(1);
        let _ = write!(table, "\nMedians of {n_each}; peak memory: {:.3} GB\n", self.peak_memory);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_median_of_each_length() {
        let run = |prompt_tps, generation_tps| Measurement {
            prompt_tokens: 128,
            generation_tokens: 64,
            prompt_tps,
            generation_tps,
            first_token_seconds: 128.0 / prompt_tps,
        };
        let runs = [run(100.0, 30.0), run(400.0, 10.0), run(200.0, 20.0)];
        let median = Measurement::median(&runs);
        let figures = median.map(|it| (it.prompt_tps, it.generation_tps, it.first_token_seconds));
        assert_eq!(figures, Some((200.0, 20.0, 0.64)));
    }
}
