//! Cargo, as the other commands use it: in the workspace, and with programs found where it has put them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The cargo that has built this tool, in `folder`.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}

/// Builds the worker in release mode and gives its path.
pub(crate) fn build_worker(root: &Path) -> Result<PathBuf> {
    build_release(root, &["--package", "runabout"], "runabout")
}

/// Builds in release mode and gives the program's path.
pub(crate) fn build_release(root: &Path, args: &[&str], program: &str) -> Result<PathBuf> {
    let status = cargo(root).args(["build", "--release"]).args(args).status().context("cannot run cargo")?;
    ensure!(status.success(), "`{program}` does not build");
    // This tool lies in the dev profile's folder of the same target folder, wherever that is.
    let tool = std::env::current_exe()?;
    let target = tool.ancestors().nth(2).context("cargo builds into `target/debug`")?;
    Ok(target.join("release").join(program))
}
