//! `cargo xtask bench`: benchmarks.
//!
//! `kernels` compares each kernel with the limits of the machine, `peers` the whole worker with llama.cpp and mlx_lm on
//! the same weights, and `engine` measures the worker with several requests at a time. `completion` and `errands`
//! measure quality and `parity` correctness, not speed. All build in release mode, and none is part of
//! `cargo xtask test`.

#[cfg(target_os = "linux")]
mod archives;
#[cfg(target_os = "linux")]
mod completion;
pub(crate) mod engine;
#[cfg(target_os = "linux")]
mod errands;
#[cfg(target_os = "linux")]
mod parity;
#[cfg(target_os = "linux")]
pub(crate) mod peers;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Measure each kernel on the shapes of real models, and compare it with the machine's memory bandwidth and peak.
    Kernels {
        /// Passed on to the benchmark: names of instruction sets such as `avx2`, a number of threads, parts of lines to
        /// print.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Do what editors and agents do, and measure how long they wait.
    Engine(engine::Args),
    /// Measure the worker, llama.cpp and mlx_lm alternately, on the same weights.
    ///
    /// The first run fetches the peers and the models into target/bench: llama.cpp from npm as node-llama-cpp with its
    /// prebuilt binary, mlx_lm from the package index that pip is configured for. The samples are written to
    /// target/bench/peers.json. The figures are only meaningful on an idle machine.
    #[cfg(target_os = "linux")]
    Peers(peers::Args),
    /// Compare tiny models of every architecture with mlx_lm, logit by logit and token by token.
    ///
    /// The first run fetches mlx_lm, as for `peers`. Prints for each model the greatest error relative to the greatest
    /// logit, and how many greedy tokens are equal.
    #[cfg(target_os = "linux")]
    Parity,
    /// Measure the quality of completions, and compare it with llama.cpp's on the same weights: holes are cut from real
    /// source files.
    ///
    /// The first run fetches the files into target/bench/corpus: Rust, npm and Python packages, pinned by version and
    /// hash. All answers are written to target/bench/completion.json.
    #[cfg(target_os = "linux")]
    Completion(completion::Args),
    /// Delegate small tasks on real files to the worker as an agent does, and check what becomes of them.
    ///
    /// The first run fetches the files into target/bench/corpus: npm and Python packages, pinned by version and hash.
    /// Each task is also put to the model as plain chat. All answers are kept in target/bench/errands.jsonl, so that a
    /// run that was stopped goes on where it was; remove the file to begin anew.
    #[cfg(target_os = "linux")]
    Errands(errands::Args),
}

pub(crate) fn run(root: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Kernels { args } => kernels(root, args),
        Bench::Engine(args) => engine::run(root, args),
        #[cfg(target_os = "linux")]
        Bench::Peers(args) => peers::run(root, args),
        #[cfg(target_os = "linux")]
        Bench::Parity => parity::run(root),
        #[cfg(target_os = "linux")]
        Bench::Completion(args) => completion::run(root, args),
        #[cfg(target_os = "linux")]
        Bench::Errands(args) => errands::run(root, args),
    }
}

const KERNELS_EXAMPLE: [&str; 5] = ["--release", "--package", "runabout-kernels", "--example", "bench"];

fn kernels(root: &Path, args: &[String]) -> Result<()> {
    let mut command = cargo(root);
    command.arg("run").args(KERNELS_EXAMPLE).arg("--").args(args);
    ensure!(command.status().context("cannot run cargo")?.success(), "the kernels' benchmark failed");
    Ok(())
}
