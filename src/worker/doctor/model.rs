//! Whether the model loads, and how fast it is.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use runabout_assist::State;
use runabout_engine::EngineOptions;
use runabout_store::{ModelRef, StoreError};

use super::check::Check;
use crate::bench::Measure;
use crate::cli::ModelArgs;
use crate::loading;
use crate::memory;
use crate::progress_line;

/// Enough for a figure, and quick on any machine.
const N_PROMPT: usize = 128;
const N_GENERATED: usize = 16;
/// Tokens per second below which a completion comes too late to be useful.
const SLOW: f64 = 10.0;

/// Loads the model if it is on this machine: nothing is downloaded.
pub(super) async fn check(args: &ModelArgs) -> Check {
    if is_absent(args) {
        let remedy = format!("`runabout models pull {}` fetches it, as does its first use", args.model);
        return Check::warning("model", format!("`{}` is not on this machine yet", args.model), remedy);
    }
    match measure(args).await {
        Ok(check) => check,
        Err(error) => Check::error("model", &format!("`{}`: {error:#}", args.model)),
    }
}

/// Whether the model would have to be downloaded.
fn is_absent(args: &ModelArgs) -> bool {
    let (Ok(reference), Ok(store)) = (args.model.parse::<ModelRef>(), loading::open_store()) else {
        return false;
    };
    let found = store.resolve(&reference, &loading::store_options(true), &mut |_| {});
    matches!(found, Err(StoreError::Offline { .. }))
}

async fn measure(args: &ModelArgs) -> anyhow::Result<Check> {
    let args = ModelArgs { offline: true, ..args.clone() };
    let options = EngineOptions {
        n_draft_tokens: args.n_draft_tokens(),
        memory_limit_bytes: args.memory_limit_bytes().or_else(memory::default_limit_bytes),
        ..EngineOptions::default()
    };
    let started = Instant::now();
    let engine = loading::start(&args, options, Arc::new(OnceLock::from(())))?.engine().clone();
    progress_line::show_loading(&engine).await;
    let model = match engine.state() {
        State::Ready(model) => model,
        State::Failed(error) => return Err(error.into()),
        State::Loading(_) => anyhow::bail!("the engine ended while it was loading"),
    };
    let load_seconds = started.elapsed().as_secs_f64();
    let n_prompt = N_PROMPT.min(model.context_length / 2);
    let run = Measure::new(engine).text(&model, n_prompt, N_GENERATED).await?;
    let found = format!(
        "`{}` loads in {load_seconds:.1} s, reads {:.0} and writes {:.0} tokens per second",
        args.model, run.prompt_tps, run.generation_tps
    );
    Ok(if run.generation_tps < SLOW {
        Check::warning("model", found, "choose a smaller model, or one with fewer bits")
    } else {
        Check::ok("model", found)
    })
}
