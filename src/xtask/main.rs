//! `cargo xtask`: what a developer runs besides cargo itself.
//!
//! Each command is a module with one `run`. The tool is the first thing that a fresh clone compiles, before
//! there is an MLX to link against, so it must not depend on `runabout-mlx` nor on anything that takes long
//! to build.

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
mod record;
mod setup;
mod test;

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
    /// On Linux it fetches MLX's published library from the package index that pip is configured for,
    /// compiles mlx-c against it, and writes target/mlx/link.toml, which .cargo/config.toml includes: from
    /// then on plain `cargo build` and `cargo test` work. On macOS mlx-sys builds MLX itself, so it only
    /// checks for what that needs.
    Setup(setup::Args),
    /// Build everything, fetch the models that tests use and run all tests.
    Test(test::Args),
    /// Show a whole session with the worker: completion, chat, a cancel, and measured speeds.
    Demo {
        /// A named model, or whatever else `runabout serve --model` takes.
        #[arg(long, default_value = "qwen2.5-coder-0.5b")]
        model: String,
    },
    /// Make the picture in README.md and the examples in protocol/README.md anew, from the real worker.
    Record,
    /// Measure speed: of the kernels beside the machine, of the worker beside its peers.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run bindgen; `setup` calls this.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Bindings(setup::bindings::Args),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("src/xtask lies two folders below the workspace root");
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

/// The chain of causes in one sentence, and after it the remedies that any of them names.
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
    fn remedies_come_after_all_causes() {
        let error =
            anyhow::anyhow!("no such file").context("no compiler\nhint: install one").context("cannot build");
        assert_eq!(report(&error), "cannot build: no compiler: no such file\nhint: install one");
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
