//! `cargo xtask`: what a developer runs besides cargo itself.
//!
//! Each command is a module with one `run`. The tool is the first thing that a fresh clone compiles, before there is
//! an MLX to link against, so it must not depend on `runabout-mlx` nor on anything that takes long to build.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod setup;

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
    /// On Linux it fetches MLX's published library from the package index that pip is configured for, compiles mlx-c
    /// against it, and writes target/mlx/link.toml, which .cargo/config.toml includes: from then on plain
    /// `cargo build` and `cargo test` work. On macOS mlx-sys builds MLX itself, so it only checks for what that needs.
    Setup(setup::Args),
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
        Command::Setup(args) => setup::run(root, &args),
        #[cfg(target_os = "linux")]
        Command::Bindings(args) => setup::bindings::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
