//! `cargo xtask test`: runs all tests, also in a fresh clone.
//!
//! Runs the set-up, the build, the download of the models that tests use, then `cargo test`, whose output and exit code
//! are this command's. What has been downloaded is not downloaded again.
//!
//! With `--editors`, the tests of the plugins run instead, and with `--clients` those with the clients of agents and of
//! the client libraries: each `test` script below `editors/` and `protocol/clients/` and in some folders of `tests/`
//! installs what it needs, such as a real editor or client, and runs it against the worker of the release profile.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cargo::{build_worker, cargo};
use crate::setup;

/// One model of each architecture, the smallest available.
const MODELS: [&str; 2] = ["smollm2-135m", "qwen2.5-coder-0.5b"];

/// The folders of the plugins, and of the tests with language clients that are not ours. Each has a program `test`, which
/// finds the worker's path in `RUNABOUT`, and in `RUNABOUT_EDITORS` a folder to install editors in.
const EDITORS: [&str; 5] = ["tests/lsp", "editors/neovim", "editors/vim", "editors/emacs", "editors/vscode"];

/// The folders of the tests with agents' clients, JSON Schemas, chat templates and a hub's client that are not ours, and
/// of the client libraries. Each has a program `test`, as above.
const CLIENTS: [&str; 10] = [
    "tests/mcp",
    "tests/acp",
    "tests/schemas",
    "tests/templates",
    "tests/hub",
    "tests/convert",
    "tests/generate",
    "protocol/clients/python",
    "protocol/clients/typescript",
    "protocol/clients/rust",
];

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the plugins' tests in real editors instead: all, or those of the given folders, such as `neovim`
    #[arg(long, value_name = "FOLDER", num_args = 0.., conflicts_with = "passed_on")]
    editors: Option<Vec<String>>,
    /// Run the tests with agents' clients and of the client libraries instead: all, or those of the given folders, such
    /// as `mcp`
    #[arg(long, value_name = "FOLDER", num_args = 0.., conflicts_with_all = ["passed_on", "editors"])]
    clients: Option<Vec<String>>,
    /// Also what takes minutes, such as a tool call of five minutes
    #[arg(long, requires = "clients")]
    long: bool,
    /// Passed on to `cargo test --workspace`, such as part of a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<String>,
}

/// Runs the tests of the workspace in `root`.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode> {
    setup::run(root, &setup::Args::default())?;
    if let Some(names) = &args.editors {
        return run_scripts(root, &chosen(&EDITORS, names)?, false);
    }
    if let Some(names) = &args.clients {
        return run_scripts(root, &chosen(&CLIENTS, names)?, args.long);
    }

    // The tests are built too: this way cargo selects the features that `cargo test` needs, and builds everything only
    // once.
    let build = cargo(root).args(["build", "--workspace", "--bins", "--tests"]).status()?;
    ensure!(build.success(), "the workspace cannot be built");

    pull_models(&std::env::current_exe()?.with_file_name("runabout"))?;

    let test = cargo(root).args(["test", "--workspace", "--no-fail-fast"]).args(&args.passed_on).status()?;
    Ok(test.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Fetches the models that tests use, unless they are on this machine.
fn pull_models(worker: &Path) -> Result<()> {
    for model in MODELS {
        let pull = Command::new(worker)
            .args(["models", "pull", model])
            .status()
            .with_context(|| format!("starting `{}`", worker.display()))?;
        ensure!(pull.success(), "cannot fetch the model `{model}`, which tests with real weights need");
    }
    Ok(())
}

/// Runs the program `test` of each of these folders.
fn run_scripts(root: &Path, folders: &[&str], is_long: bool) -> Result<ExitCode> {
    let worker = build_worker(root)?;
    pull_models(&worker)?;
    let mut failed = Vec::new();
    for &folder in folders {
        eprintln!("test: {folder}");
        let test = Command::new(root.join(folder).join("test"))
            .env("RUNABOUT", &worker)
            .env("RUNABOUT_EDITORS", root.join("target/editors"))
            .env("RUNABOUT_LONG", if is_long { "1" } else { "" })
            .status()
            .with_context(|| format!("starting `{folder}/test`"))?;
        if !test.success() {
            failed.push(folder);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// The folders whose last parts are `names`, or all if there are none.
fn chosen(all: &[&'static str], names: &[String]) -> Result<Vec<&'static str>> {
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let find = |name: &String| {
        let found = all.iter().copied().find(|it| it.rsplit('/').next() == Some(name));
        found.with_context(|| format!("there are no tests of `{name}`\nhint: there are {}", all.join(", ")))
    };
    names.iter().map(find).collect()
}
