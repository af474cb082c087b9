//! Which version is made, of which time, and how its files are written.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// The version of everything that is made.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The time of the last commit, which is the time of every file that is made: the same sources give the same files.
pub(super) fn epoch(root: &Path) -> Result<u64> {
    if let Some(epoch) = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|it| it.parse().ok()) {
        return Ok(epoch);
    }
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .context("git does not tell the time of the last commit\nhint: set `SOURCE_DATE_EPOCH`")
}

/// Writes a file, and makes its folder if it is not there.
pub(super) fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}
