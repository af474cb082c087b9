//! `cargo xtask`: commands for developers.
//!
//! Each command is a module with a function `run`. In a fresh clone this tool is compiled first, before there is an MLX
//! to link with, so it must not depend on `runabout-mlx` or on anything that takes long to build.

#![expect(
    clippy::print_stdout,
    reason = "a tool for a terminal; the ban is for the worker, whose stdout is the protocol"
)]

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cargo;
mod client;
mod demo;
#[cfg(target_os = "linux")]
mod dist;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod fuzz;
mod hostile;
#[cfg(target_os = "linux")]
mod program;
mod record;
mod setup;
#[cfg(target_os = "linux")]
mod soak;
mod test;
mod worker;

/// Developer commands of runabout.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make MLX available to cargo; the other commands do this themselves.
    ///
    /// On Linux, this fetches MLX's published library from the package index that pip is configured for, compiles mlx-c
    /// against it, and writes target/mlx/link.toml, which .cargo/config.toml includes. From then on plain `cargo build`
    /// and `cargo test` work. On macOS, mlx-sys builds MLX itself, and this only checks for the tools it needs.
    Setup(setup::Args),
    /// Build everything, fetch the models that tests use, and run all tests.
    Test(test::Args),
    /// Run a whole session with the worker: completion, chat, a cancel, and measured speeds.
    Demo {
        /// A named model, or anything else that `runabout serve --model` accepts.
        #[arg(long, default_value = "qwen2.5-coder-0.5b")]
        model: String,
    },
    /// Record the picture in README.md and the examples in protocol/README.md from the real worker.
    Record,
    /// Run benchmarks: of the kernels, of the worker compared with others, and of completion quality.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Send generated hostile messages to the worker: each gets its answers, and the next request is answered.
    Hostile(hostile::Args),
    /// Deny the worker what it needs, damage its files, stop it and kill it: each time it says so, and nothing is lost.
    #[cfg(target_os = "linux")]
    Faults(faults::Args),
    /// Look for inputs on which a reader of foreign bytes crashes, hangs or breaks a promise, with libFuzzer.
    #[cfg(target_os = "linux")]
    Fuzz(fuzz::Args),
    /// Run mixed traffic on the real model for an hour: nothing may be lost, answered twice or leaked.
    #[cfg(target_os = "linux")]
    Soak(soak::Args),
    /// Make what people install: an archive, a Python wheel, an npm package and a Homebrew formula.
    #[cfg(target_os = "linux")]
    Dist(dist::Args),
    /// Run bindgen. Used by `setup`.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Bindings(setup::bindings::Args),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("src/xtask is two folders below the workspace root");
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(root, &args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => test::run(root, &args),
        Command::Demo { model } => setup::run(root, &setup::Args::default())
            .and_then(|()| demo::run(root, &model))
            .map(|()| ExitCode::SUCCESS),
        Command::Record => setup::run(root, &setup::Args::default())
            .and_then(|()| record::run(root))
            .map(|()| ExitCode::SUCCESS),
        Command::Bench(bench) => bench::run(root, &bench).map(|()| ExitCode::SUCCESS),
        Command::Hostile(args) => hostile::run(root, &args).map(|()| ExitCode::SUCCESS),
        #[cfg(target_os = "linux")]
        Command::Faults(args) => faults::run(root, &args).map(|()| ExitCode::SUCCESS),
        #[cfg(target_os = "linux")]
        Command::Fuzz(args) => fuzz::run(root, &args).map(|()| ExitCode::SUCCESS),
        #[cfg(target_os = "linux")]
        Command::Soak(args) => soak::run(root, &args).map(|()| ExitCode::SUCCESS),
        #[cfg(target_os = "linux")]
        Command::Dist(args) => setup::run(root, &setup::Args::default())
            .and_then(|()| dist::run(root, &args))
            .map(|()| ExitCode::SUCCESS),
        #[cfg(target_os = "linux")]
        Command::Bindings(args) => setup::bindings::run(&args).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", report(&error));
            ExitCode::FAILURE
        }
    }
}

/// The chain of causes in one sentence, followed by all their hints.
fn report(error: &anyhow::Error) -> String {
    let (mut messages, mut hints) = (Vec::new(), String::new());
    for cause in error.chain() {
        let text = cause.to_string();
        let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
        messages.push(message.to_owned());
        if !hint.is_empty() {
            hints += "\nhint: ";
            hints += hint;
        }
    }
    messages.join(": ") + &hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_after_all_causes() {
        let error =
            anyhow::anyhow!("no such file").context("no compiler\nhint: install one").context("cannot build");
        assert_eq!(report(&error), "cannot build: no compiler: no such file\nhint: install one");
    }

    #[test]
    fn the_command_line_is_valid() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
