//! Python's store for blobs that several repositories share: [`SharedBlobs`].
//!
//! Newer versions of `huggingface_hub` move some blobs to `blobs/xx/HASH` beside the repositories, and put a relative
//! link in their place. `HASH.refs` lists the links, as a hint: what counts are the links that are there. A blob without
//! such a list, or of a layout that is not known, is never deleted. This program adds nothing to the store.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use super::{HubCache, MODEL_PREFIX, entries};
use crate::error::{StoreError, io_error};

const MARKER: &str = ".huggingface-shared-blobs";
const LAYOUT: &str = "1\n";

/// The store of a cache that has one.
pub(super) struct SharedBlobs {
    root: PathBuf,
    folder: PathBuf,
}

impl HubCache {
    /// `None` if there is no such store, or one whose layout is not known.
    pub(super) fn shared_blobs(&self) -> Option<SharedBlobs> {
        let folder = self.root.join("blobs");
        let is_real = |it: &Path| it.symlink_metadata().is_ok_and(|it| !it.is_symlink());
        let marker = folder.join(MARKER);
        let is_known =
            is_real(&folder) && is_real(&marker) && fs::read_to_string(&marker).is_ok_and(|it| it == LAYOUT);
        is_known.then(|| SharedBlobs { root: self.root.clone(), folder })
    }
}

impl SharedBlobs {
    /// The shared blob that a repository's blob leads to; `None` if it is a file, or a link to anything else.
    pub(super) fn target(&self, blob: &Path) -> Option<PathBuf> {
        let link = fs::read_link(blob).ok()?;
        let target = without_dots(&blob.parent()?.join(link))?;
        self.is_blob(&target).then_some(target)
    }

    /// The blobs that no repository links to any more.
    pub(super) fn unreferenced(&self) -> Vec<PathBuf> {
        let folders = entries(&self.folder).unwrap_or_default().into_iter();
        let blobs = folders.flat_map(|it| entries(&it).unwrap_or_default()).filter(|it| self.is_blob(it));
        let mut idle: Vec<_> =
            blobs.filter(|it| self.references(it).is_some_and(|it| it.is_empty())).collect();
        idle.sort();
        idle
    }

    /// The bytes that deleting these links of repositories would free.
    pub(super) fn freed_bytes(&self, links: &BTreeSet<PathBuf>) -> u64 {
        let targets: BTreeSet<_> = links.iter().filter_map(|it| self.target(it)).collect();
        let is_last = |it: &&PathBuf| self.references(it).is_some_and(|it| it.is_subset(links));
        targets.iter().filter(is_last).filter_map(|it| it.symlink_metadata().ok()).map(|it| it.len()).sum()
    }

    /// Deletes a blob if no repository links to it any more. Returns the bytes freed.
    pub(super) fn sweep(&self, blob: &Path) -> Result<u64, StoreError> {
        if !self.is_blob(blob) {
            return Ok(0);
        }
        let lock = with_suffix(blob, ".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(io_error("create", &lock))?;
        lock.lock().map_err(io_error("lock", blob))?;
        if !self.references(blob).is_some_and(|it| it.is_empty()) {
            return Ok(0);
        }
        let n_bytes = blob.symlink_metadata().map_err(io_error("read", blob))?.len();
        fs::remove_file(blob).map_err(io_error("remove", blob))?;
        let _ = fs::remove_file(with_suffix(blob, ".refs"));
        Ok(n_bytes)
    }

    /// The links of repositories that lead to a blob; `None` if they cannot be known.
    fn references(&self, blob: &Path) -> Option<BTreeSet<PathBuf>> {
        let list = with_suffix(blob, ".refs");
        list.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
        let text = fs::read_to_string(list).ok()?;
        let links = text.lines().filter(|it| is_link_of_repository(it)).map(|it| self.root.join(it));
        Some(links.filter(|it| self.target(it).as_deref() == Some(blob)).collect())
    }

    /// Whether a path is a file of the store, `xx/HASH`.
    fn is_blob(&self, path: &Path) -> bool {
        let parts: Option<Vec<&str>> =
            path.strip_prefix(&self.folder).ok().and_then(|it| it.iter().map(|it| it.to_str()).collect());
        let Some([folder, name]) = parts.as_deref() else { return false };
        name.len() == 64
            && name.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
            && name.get(..2) == Some(folder)
            && path.symlink_metadata().is_ok_and(|it| it.is_file())
    }
}

/// Whether a line of a list names a blob of a repository, and not something elsewhere.
fn is_link_of_repository(line: &str) -> bool {
    let parts: Vec<&str> = line.split('/').collect();
    let is_repository = |it: &str| {
        [MODEL_PREFIX, "datasets--", "spaces--", "kernels--"].iter().any(|prefix| it.starts_with(prefix))
    };
    matches!(parts.as_slice(), [repository, "blobs", name]
        if is_repository(repository) && !matches!(*name, "" | "." | ".."))
}

/// A path without `..`, by its text alone, so that no link is followed.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => plain.pop().then_some(())?,
            other => plain.push(other),
        }
    }
    Some(plain)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
