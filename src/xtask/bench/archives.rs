//! Files of packages, which benchmarks work on: fetched once from the registries, pinned by version and hash.
//!
//! The registries' own clients fetch them, with this machine's configuration. Nothing of a package is built, installed
//! or run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use runabout_store::wheel::{self, Pip, Requirement, Wheel};

use super::peers::fetch::sha256;

/// A package, pinned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archive {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The SHA-256 of the archive.
    pub(super) sha256: &'static str,
}

/// The text files of a package on npm, with their paths in its archive.
pub(super) fn npm(package: Archive, folder: &Path) -> Result<Vec<(String, String)>> {
    let Archive { name, version, sha256 } = package;
    let archive = folder.join(format!("{name}-{version}.tgz"));
    if !archive.is_file() {
        let mut npm = Command::new("npm");
        npm.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(folder);
        npm.arg(format!("{name}@{version}")).stdout(Stdio::null());
        let status =
            npm.status().context("cannot start `npm`\nhint: install Node 20 or newer, which brings npm")?;
        ensure!(status.success(), "npm ended with {status}");
    }
    check(&archive, sha256)?;
    let unpacked = folder.join(name);
    fs::create_dir_all(&unpacked)?;
    let status = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&unpacked).status();
    ensure!(status.context("cannot start `tar`")?.success(), "tar cannot unpack `{}`", archive.display());
    let mut texts = Vec::new();
    for path in files(&unpacked)? {
        let name = path.strip_prefix(&unpacked)?.to_string_lossy().into_owned();
        texts.extend(fs::read_to_string(&path).ok().map(|it| (name, it)));
    }
    Ok(texts)
}

/// The text files of a Python wheel, with their paths in it.
pub(super) fn wheel(package: Archive, folder: &Path) -> Result<Vec<(String, String)>> {
    let Archive { name, version, sha256 } = package;
    let requirement = Requirement { name, version: Some(version), sha256: Some(sha256) };
    let fetched = wheel::fetch(&requirement, folder, &Pip::default(), &mut |_| {})?;
    let mut wheel = Wheel::open(&fetched)?;
    let members: Vec<String> = wheel.members()?.into_iter().map(|(name, _)| name).collect();
    let mut texts = Vec::new();
    for member in members {
        let mut bytes = Vec::new();
        wheel.copy(&member, &mut bytes)?;
        texts.extend(String::from_utf8(bytes).ok().map(|it| (member, it)));
    }
    Ok(texts)
}

/// All files below a folder.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn check(path: &Path, expected: &str) -> Result<()> {
    let got = sha256(path)?;
    ensure!(
        got == expected,
        "expected SHA-256 {expected} of `{}`, got {got}\nhint: remove it",
        path.display()
    );
    Ok(())
}
