//! Runs cargo in the workspace, and finds the programs that it has built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The cargo that built this tool, with `folder` as its working directory.
///
/// What `cargo run` tells this tool about its own package is left out: some build scripts ask to run again when that
/// changes, and then cargo would build what depends on them in every turn of `cargo build` and `cargo xtask`.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if is_of_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// Builds the worker in release mode and returns its path. With `--bin` and not `--package`, so that it has the same
/// dependencies as with `cargo build --release`, and none is compiled twice.
pub(crate) fn build_worker(root: &Path) -> Result<PathBuf> {
    build_release(root, &["--bin", "runabout"], "runabout")
}

/// Builds in release mode and returns the path of the program.
pub(crate) fn build_release(root: &Path, args: &[&str], program: &str) -> Result<PathBuf> {
    let status = cargo(root).args(["build", "--release"]).args(args).status().context("cannot run cargo")?;
    ensure!(status.success(), "`{program}` cannot be built");
    release_program(program)
}

/// Where a program is that was built in release mode.
pub(crate) fn release_program(program: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join("release").join(program))
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    // This tool is in the folder of the dev profile, in the same target folder.
    let tool = std::env::current_exe()?;
    Ok(tool.ancestors().nth(2).context("cargo builds into `target/debug`")?.to_owned())
}
