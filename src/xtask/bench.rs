//! `cargo xtask bench`: how fast, beside what.
//!
//! `kernels` holds each kernel against the machine's own limits, `peers` the whole worker against llama.cpp and
//! mlx_lm on the same weights, `engine` the worker with many requests at once. All build what they measure in
//! release mode, and so does `completion`, which measures quality and not speed; none is part of `cargo xtask test`.

#[cfg(target_os = "linux")]
mod completion;
pub(crate) mod engine;
#[cfg(target_os = "linux")]
pub(crate) mod peers;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Measure each kernel on the shapes of real models, beside the machine's bandwidth and peak.
    Kernels {
        /// Passed on: names of paths such as `avx2`, a number of threads, parts of lines to keep.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Play what editors and agents do, and measure what they wait for.
    Engine(engine::Args),
    /// Measure the worker, llama.cpp and mlx_lm in turns, on the same weights.
    ///
    /// Fetches the peers and the models into target/bench when they are not there yet: llama.cpp from npm as
    /// node-llama-cpp with its prebuilt binary, mlx_lm from the package index that pip is configured for. The
    /// samples go to target/bench/peers.json. The figures are worth what the machine is idle.
    #[cfg(target_os = "linux")]
    Peers(peers::Args),
    /// Measure how good completions are, beside llama.cpp's on the same weights: holes cut from real source files.
    ///
    /// Fetches the files into target/bench/corpus: Rust, npm and Python packages, by version and hash. All
    /// answers go to target/bench/completion.json.
    #[cfg(target_os = "linux")]
    Completion(completion::Args),
}

pub(crate) fn run(root: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Kernels { args } => kernels(root, args),
        Bench::Engine(args) => engine::run(root, args),
        #[cfg(target_os = "linux")]
        Bench::Peers(args) => peers::run(root, args),
        #[cfg(target_os = "linux")]
        Bench::Completion(args) => completion::run(root, args),
    }
}

const KERNELS_EXAMPLE: [&str; 5] = ["--release", "--package", "runabout-kernels", "--example", "bench"];

fn kernels(root: &Path, args: &[String]) -> Result<()> {
    let mut command = cargo(root);
    command.arg("run").args(KERNELS_EXAMPLE).arg("--").args(args);
    ensure!(command.status().context("cannot run cargo")?.success(), "the kernels' benchmark failed");
    Ok(())
}
