//! `cargo xtask bench engine`: the worker with several requests at a time.
//!
//! Each scene is a client that does what editors and agents do, with the built worker and its pipes; times are
//! wall-clock times at the client. Measured are: how long an interactive request waits for a background one, the cost
//! of a keystroke, the first text at a new place, the delay of a cancel, the throughput of several jobs together, what several clients of one model take
//! and wait, the gain from drafts, and whether memory stays constant. The figures are only meaningful on an idle machine.

mod client;
#[cfg(target_os = "linux")]
mod clients;
mod figures;
mod keys;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod places;
mod prompts;
mod scenes;
mod stage;
#[cfg(target_os = "linux")]
mod typist;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::figures::Figures;
#[cfg(target_os = "linux")]
use self::peer::Peer;
use self::stage::Stage;
use crate::cargo::build_worker;
use crate::setup;

/// Arguments of `cargo xtask bench engine`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Named models, or anything else that `runabout serve --model` accepts.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "smollm2-135m,qwen2.5-coder-0.5b"
    )]
    models: Vec<String>,
    /// The scenes to run; all if not given.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    scenes: Vec<String>,
    /// A tenth of everything: enough to see that all scenes work.
    #[arg(long)]
    quick: bool,
    /// Measure llama.cpp with the same keystrokes, and llama.cpp and mlx_lm with several texts at a time. The first run
    /// fetches them and the models into target/bench.
    #[cfg(target_os = "linux")]
    #[arg(long)]
    peers: bool,
    /// An existing worker to use instead of building one.
    #[arg(long, value_name = "PATH")]
    runabout: Option<PathBuf>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let is_wanted = |name: &str| args.scenes.is_empty() || args.scenes.iter().any(|it| it == name);
    let known: Vec<&str> = scenes::ALL.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = args.scenes.iter().find(|it| !known.contains(&it.as_str())) {
        anyhow::bail!("expected scenes ({}), got `{unknown}`", known.join(", "));
    }
    let worker = if let Some(path) = &args.runabout {
        path.canonicalize().with_context(|| format!("no worker at `{}`", path.display()))?
    } else {
        setup::run(root, &setup::Args::default())?;
        build_worker(root)?
    };
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let mut report: Vec<Value> = Vec::new();
    let mut tell = |model: &str, scene: &str, figures: &Figures| -> Result<()> {
        print!("{}", figures.table(scene));
        report.push(json!({"model": model, "scene": scene, "quick": args.quick, "load": load(),
                           "figures": figures.json()}));
        Ok(fs::write(folder.join("engine.json"), serde_json::to_string_pretty(&report)?)?)
    };
    for model in &args.models {
        println!("\n{model}, load {}", load().as_deref().unwrap_or("unknown"));
        let stage = Stage {
            worker: &worker,
            model,
            #[cfg(target_os = "linux")]
            folder: &folder,
            is_quick: args.quick,
        };
        for &(name, scene) in scenes::ALL.iter().filter(|(name, _)| is_wanted(name)) {
            eprintln!("bench: {model}, {name}");
            let figures = scene(&stage).with_context(|| format!("the scene `{name}` failed"))?;
            tell(model, name, &figures)?;
            #[cfg(target_os = "linux")]
            if args.peers {
                for (peer, figures) in peers(&stage, name, &folder)? {
                    tell(model, &format!("{name}, {peer}"), &figures)?;
                }
            }
        }
    }
    println!("\nsamples: target/bench/engine.json");
    Ok(())
}

/// The figures of other programs for a scene, with their names.
#[cfg(target_os = "linux")]
fn peers(stage: &Stage<'_>, scene: &str, folder: &Path) -> Result<Vec<(&'static str, Figures)>> {
    match scene {
        "typing" => Ok(vec![("llama.cpp", Peer::llama(folder, stage.model)?.type_in(&stage.keys()?)?)]),
        "parallel" => {
            let n_tokens = stage.n_parallel_tokens();
            let n_rounds = if stage.is_quick { 1 } else { 3 };
            let llama = Peer::llama(folder, stage.model)?.batch(n_rounds, n_tokens)?;
            // On a CPU, MLX's own operations take a minute for a few dozen tokens.
            let mlx_lm = Peer::mlx_lm(folder, stage.worker, stage.model)?.batch(1, n_tokens.min(32))?;
            Ok(vec![("llama.cpp", llama), ("mlx_lm", mlx_lm)])
        }
        _ => Ok(Vec::new()),
    }
}

/// The average number of processes that ran or waited in the last minute, including this benchmark's.
fn load() -> Option<String> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next().map(str::to_owned)
}
