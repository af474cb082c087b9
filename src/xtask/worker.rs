//! The worker that a command tries: [`given_or_built`].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cargo::build_worker;
use crate::setup;

/// The worker at `path`, or else the one that is built from this workspace.
pub(crate) fn given_or_built(root: &Path, path: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = path {
        return path.canonicalize().with_context(|| format!("no worker at `{}`", path.display()));
    }
    setup::run(root, &setup::Args::default())?;
    build_worker(root)
}
