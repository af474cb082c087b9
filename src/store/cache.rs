//! The hub's cache on this machine: [`HubCache`].
//!
//! It is shared with Python's `huggingface_hub`, and so with mlx_lm and transformers, in their layout:
//! `models--OWNER--NAME` has `blobs/ETAG` with the bytes, `snapshots/COMMIT/FILE` with links to them, and `refs/BRANCH`
//! with a commit. What is in there is complete as soon as it has its name: blobs, snapshots and refs are made in
//! `.runabout` beside them, which Python does not look at, and renamed. Nothing here uses the network.

mod blob;
mod lock;
mod publish;
mod removal;
mod shared_blobs;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{StoreError, io_error};

pub(crate) use blob::BlobHash;
pub(crate) use removal::Removal;

/// The beginning of the name of a model's folder; datasets and spaces have others.
const MODEL_PREFIX: &str = "models--";
/// The folder of a repository for what is not complete.
const SCRATCH: &str = ".runabout";

/// The cache; its folder may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubCache {
    root: PathBuf,
}

/// A repository of a model in the cache; its folder may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedRepository {
    /// `OWNER/NAME`, or `NAME` for the oldest repositories.
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    root: PathBuf,
}

impl HubCache {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn repository(&self, id: &str) -> CachedRepository {
        let path = self.root.join(format!("{MODEL_PREFIX}{}", id.replace('/', "--")));
        CachedRepository { id: id.to_owned(), path, root: self.root.clone() }
    }

    /// The repositories of models, sorted by name.
    pub(crate) fn repositories(&self) -> Result<Vec<CachedRepository>, StoreError> {
        let mut found: Vec<_> = entries(&self.root)?
            .into_iter()
            .filter(|path| path.is_dir())
            .filter_map(|path| {
                let id = path.file_name()?.to_str()?.strip_prefix(MODEL_PREFIX)?.replace("--", "/");
                Some(CachedRepository { id, path, root: self.root.clone() })
            })
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }
}

impl CachedRepository {
    /// The commit of a branch or tag, or the revision itself if it is a commit. A commit need not have a snapshot.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.path.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|it| is_commit(it))
    }

    /// All branches and tags with their commits, sorted by name.
    pub(crate) fn refs(&self) -> Vec<(String, String)> {
        let refs = self.path.join("refs");
        let named = |path: PathBuf| {
            let name = path.strip_prefix(&refs).ok()?.to_str()?.to_owned();
            let commit = fs::read_to_string(&path).ok()?.trim().to_owned();
            Some((name, commit))
        };
        let mut all: Vec<_> = files_below(&refs).into_iter().filter_map(named).collect();
        all.sort();
        all
    }

    /// The folder of a commit's files, whether it exists or not.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path.join("snapshots").join(commit)
    }

    /// The commits that have a snapshot, in order.
    pub(crate) fn commits(&self) -> Result<Vec<String>, StoreError> {
        let folders = entries(&self.path.join("snapshots"))?.into_iter().filter(|it| is_real_folder(it));
        let mut commits: Vec<_> =
            folders.filter_map(|it| Some(it.file_name()?.to_str()?.to_owned())).collect();
        commits.sort();
        Ok(commits)
    }

    /// The files of a snapshot, with their paths relative to it.
    pub(crate) fn files(&self, commit: &str) -> Vec<String> {
        let snapshot = self.snapshot(commit);
        let relative = |it: PathBuf| Some(it.strip_prefix(&snapshot).ok()?.to_str()?.to_owned());
        let mut files: Vec<_> = files_below(&snapshot).into_iter().filter_map(relative).collect();
        files.sort();
        files
    }

    /// The sizes of the files that Python found at a commit, if it has listed them.
    pub(crate) fn listed_sizes(&self, commit: &str) -> Option<Vec<(String, u64)>> {
        let text = fs::read(self.path.join("trees").join(format!("{commit}.json"))).ok()?;
        let tree: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let files = tree.get("files").filter(|_| tree["format_version"] == 1)?.as_object()?;
        files.iter().map(|(name, file)| Some((name.clone(), file["size"].as_u64()?))).collect()
    }

    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        self.path.join("blobs").join(name)
    }

    /// The folder for what is not complete, on the same file system as the rest.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join(SCRATCH)
    }
}

/// The repository and commit of a path, if it is a snapshot in any cache.
pub(crate) fn snapshot_of(path: &Path) -> Option<(String, String)> {
    let commit = path.file_name()?.to_str().filter(|it| is_commit(it))?;
    let snapshots = path.parent().filter(|it| it.file_name() == Some(OsStr::new("snapshots")))?;
    let folder = snapshots.parent()?.file_name()?.to_str()?;
    Some((folder.strip_prefix(MODEL_PREFIX)?.replace("--", "/"), commit.to_owned()))
}

/// Whether a text is the hash of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// The entries of a folder; none if it does not exist.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|it| it.map(|it| it.path()).map_err(io_error("read", folder))).collect(),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(io_error("read", folder)(err)),
    }
}

/// All files and links in a folder and its subfolders; links are not followed.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder).unwrap_or_default() {
        if is_real_folder(&path) {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Whether a path is a folder and not a link to one.
fn is_real_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| it.is_dir())
}
