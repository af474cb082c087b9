//! The archive for Linux, and checksums of what was made.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::stage::Stage;

/// Packs the installation with the checksums of its files.
pub(super) fn write(stage: &Stage, out: &Path) -> Result<PathBuf> {
    let mut sums = String::new();
    for file in stage.files()? {
        let _ = writeln!(sums, "{}  {}", sha256(&stage.folder.join(&file))?, file.display());
    }
    let sums_file = stage.folder.join("SHA256SUMS");
    fs::write(&sums_file, sums)?;
    let name = stage.folder.file_name().context("the stage has a name")?;
    let path = out.join(format!("{}.tar.gz", name.to_string_lossy()));
    pack(&stage.folder, &path, stage.epoch)?;
    fs::remove_file(sums_file)?;
    Ok(path)
}

/// Packs a folder, so that the same files always give the same archive.
pub(super) fn pack(folder: &Path, path: &Path, epoch: u64) -> Result<()> {
    let status = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"])
        .arg(format!("--mtime=@{epoch}"))
        .args(["--gzip", "--create", "--file"])
        .arg(path)
        .arg("--directory")
        .arg(folder.parent().context("the stage is in a folder")?)
        .arg(folder.file_name().context("the stage has a name")?)
        .status()
        .context("cannot run `tar`\nhint: GNU tar is needed")?;
    ensure!(status.success(), "`tar` cannot write `{}`", path.display());
    Ok(())
}

/// Writes the checksums of files in the form of `sha256sum`.
pub(super) fn write_checksums(files: &[PathBuf], to: &Path) -> Result<()> {
    let mut sums = String::new();
    for file in files {
        let name = file.file_name().context("a file has a name")?.to_string_lossy();
        let _ = writeln!(sums, "{}  {name}", sha256(file)?);
    }
    fs::write(to, sums).with_context(|| format!("cannot write `{}`", to.display()))
}

pub(super) fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(format!("{:x}", Sha256::digest(bytes)))
}
