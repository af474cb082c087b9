//! Downloads wheels from the package index that this machine is configured for, and reads them: [`fetch`], [`Wheel`].
//!
//! `pip download` does the work, so that pip's configuration applies: a mirror, a proxy or a folder of wheels
//! (`PIP_FIND_LINKS`) works as for other packages. Nothing is installed, imported or run from a wheel; it is read as a
//! zip archive. This module knows nothing about models.

mod pip;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;

use crate::digest::sha256_file;
use crate::error::{StoreError, io_error};
use crate::scratch::Scratch;

pub use pip::{Pip, Requirement};

/// The prefix of a folder that contains a running download.
const SCRATCH: &str = ".fetch-";

/// Downloads a wheel into `folder`, atomically, and returns its path. If a wheel of that name and version (and hash, if
/// given) is there already, it is returned without any request. `progress` gets the bytes that have arrived.
pub fn fetch(
    requirement: &Requirement<'_>,
    folder: &Path,
    pip: &Pip,
    progress: &mut dyn FnMut(u64),
) -> Result<PathBuf, StoreError> {
    fetch_within(requirement, folder, pip, u64::MAX, progress)
}

/// Like [`fetch`], but fails as soon as the download takes more than `max_bytes` on the disk.
pub(crate) fn fetch_within(
    requirement: &Requirement<'_>,
    folder: &Path,
    pip: &Pip,
    max_bytes: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<PathBuf, StoreError> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    if let Some(wheel) = find(requirement, folder)? {
        return Ok(wheel);
    }
    // In the same folder, so that the final rename is atomic.
    let scratch = Scratch::make(folder, SCRATCH)?;
    let wheels = pip::download(requirement, pip, scratch.path(), &mut || {
        let n_bytes = tree_bytes(scratch.path());
        progress(n_bytes);
        n_bytes <= max_bytes
    })?;

    let failed = |reason: &str| StoreError::PipFailed {
        requirement: requirement.pip_argument(),
        reason: reason.to_owned(),
    };
    let fetched = wheel_files(&wheels)?.pop().ok_or_else(|| failed("it downloaded no wheel"))?;
    progress(fetched.metadata().map_err(io_error("read", &fetched))?.len());
    if let Some(expected) = requirement.sha256 {
        let (got, _) = sha256_file(&fetched, &mut |_| {})?;
        if got != expected {
            let what = file_name(&fetched);
            return Err(StoreError::HashMismatch { what, expected: expected.to_owned(), got });
        }
    }
    File::open(&fetched).and_then(|it| it.sync_all()).map_err(io_error("write", &fetched))?;
    let wheel = folder.join(file_name(&fetched));
    fs::rename(&fetched, &wheel).map_err(io_error("create", &wheel))?;
    Ok(wheel)
}

/// A wheel in `folder` that satisfies the requirement; `None` if the requirement has no version.
fn find(requirement: &Requirement<'_>, folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let Some(version) = requirement.version else { return Ok(None) };
    for wheel in wheel_files(folder)? {
        let name = file_name(&wheel);
        let mut parts = name.split('-');
        let is_it = parts.next().is_some_and(|it| normalized(it) == normalized(requirement.name))
            && parts.next() == Some(version);
        if is_it {
            let is_sound = match requirement.sha256 {
                Some(expected) => sha256_file(&wheel, &mut |_| {})?.0 == expected,
                None => true,
            };
            if is_sound {
                return Ok(Some(wheel));
            }
        }
    }
    Ok(None)
}

/// An open wheel.
#[derive(Debug)]
pub struct Wheel {
    path: PathBuf,
    archive: ZipArchive<File>,
}

impl Wheel {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let archive = ZipArchive::new(file).map_err(|err| bad_wheel(path, &err))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// The names and sizes of the files inside.
    pub fn members(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut members = Vec::new();
        for idx in 0..self.archive.len() {
            let member = self.archive.by_index_raw(idx).map_err(|err| bad_wheel(&self.path, &err))?;
            let name = member.name().map_err(|err| bad_wheel(&self.path, &err))?.into_owned();
            if !name.ends_with('/') {
                members.push((name, member.size()));
            }
        }
        Ok(members)
    }

    /// Copies one member to `writer` and returns its length. Checks the CRC, and that there are no more bytes than the
    /// archive says.
    pub fn copy(&mut self, member: &str, writer: &mut dyn Write) -> Result<u64, StoreError> {
        let mut reader = self.archive.by_name(member).map_err(|err| bad_wheel(&self.path, &err))?;
        io::copy(&mut reader, writer).map_err(|err| copy_error(&self.path, err))
    }

    /// Extracts the members for which `wanted` is true into `folder`, under their own paths; returns the paths of the
    /// files.
    pub fn extract(
        &mut self,
        folder: &Path,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut extracted = Vec::new();
        for (member, _) in self.members()? {
            if !wanted(&member) {
                continue;
            }
            let inside = Path::new(&member).components().all(|it| matches!(it, Component::Normal(_)));
            if !inside {
                return Err(StoreError::BadWheel {
                    path: self.path.clone(),
                    reason: format!("its member `{member}` leads out of the folder"),
                });
            }
            let path = folder.join(&member);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(io_error("create", parent))?;
            }
            let mut file = File::create(&path).map_err(io_error("create", &path))?;
            self.copy(&member, &mut file)?;
            extracted.push(path);
        }
        Ok(extracted)
    }
}

/// The error of a copy, which may come from reading the wheel or from writing.
fn copy_error(path: &Path, err: io::Error) -> StoreError {
    match io_error("unpack", path)(err) {
        StoreError::Io { source, .. } => bad_wheel(path, &source),
        full => full,
    }
}

fn bad_wheel(path: &Path, err: &dyn std::fmt::Display) -> StoreError {
    StoreError::BadWheel { path: path.to_owned(), reason: err.to_string() }
}

fn wheel_files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let path = entry.map_err(io_error("read", folder))?.path();
        if path.extension().is_some_and(|it| it == "whl") {
            wheels.push(path);
        }
    }
    Ok(wheels)
}

/// Package names are equal if they differ only in case and in runs of `-`, `_` and `.` (PEP 503).
fn normalized(name: &str) -> String {
    name.split(['-', '_', '.']).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The bytes under `folder`, as far as they can be seen while another process works in it.
fn tree_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => tree_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
