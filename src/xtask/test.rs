//! `cargo xtask test`: runs all tests, also in a fresh clone.
//!
//! Runs the set-up, the build, the download of the models that tests use, then `cargo test`, whose output and exit code
//! are this command's. What has been downloaded is not downloaded again.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::setup;

/// One model of each architecture, the smallest available.
const MODELS: [&str; 2] = ["smollm2-135m", "qwen2.5-coder-0.5b"];

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `cargo test --workspace`, such as part of a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_args: Vec<String>,
}

/// Runs the tests of the workspace in `root`.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode> {
    setup::run(root, &setup::Args::default())?;

    // The tests are built too: this way cargo selects the features that `cargo test` needs, and builds everything only
    // once.
    let build = cargo(root).args(["build", "--workspace", "--bins", "--tests"]).status()?;
    ensure!(build.success(), "the workspace cannot be built");

    let program = std::env::current_exe()?.with_file_name("runabout");
    for model in MODELS {
        let pull = Command::new(&program)
            .args(["models", "pull", model])
            .status()
            .with_context(|| format!("starting `{}`", program.display()))?;
        ensure!(pull.success(), "cannot fetch the model `{model}`, which tests with real weights need");
    }

    let test = cargo(root).args(["test", "--workspace", "--no-fail-fast"]).args(&args.cargo_args).status()?;
    Ok(test.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
