//! The files of a repository at a commit, as the hub lists them or as the cache has them.

use serde::Deserialize;

use crate::cache::{BlobHash, CachedRepository};

/// The answer to `GET /api/models/{repository}/revision/{revision}?blobs=true`.
#[derive(Deserialize)]
pub(super) struct Listing {
    pub(super) sha: String,
    pub(super) siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
pub(super) struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "blobId")]
    blob_id: Option<String>,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    size: Option<u64>,
}

/// A file of a repository, with what the listing says about it.
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) n_bytes: Option<u64>,
    pub(super) hash: Option<BlobHash>,
}

impl From<Sibling> for Remote {
    fn from(it: Sibling) -> Self {
        let n_bytes = it.lfs.as_ref().and_then(|lfs| lfs.size).or(it.size);
        let name = match it.lfs {
            // What git has of a large file is not its bytes but a note about them.
            Some(lfs) => lfs.sha256,
            None => it.blob_id,
        };
        Self { name: it.rfilename, n_bytes, hash: name.and_then(|it| BlobHash::of_name(&it)) }
    }
}

impl Remote {
    pub(super) fn sha256(&self) -> Option<&str> {
        match &self.hash {
            Some(BlobHash::Sha256(it)) => Some(it),
            _ => None,
        }
    }
}

/// The commit of a revision, and the files that the cache has of it.
pub(super) fn of_cache(repository: &CachedRepository, revision: &str) -> Option<(String, Vec<Remote>)> {
    let commit = repository.commit(revision)?;
    if !repository.snapshot(&commit).is_dir() {
        return None;
    }
    let files = repository.files(&commit).into_iter();
    let files = files.map(|name| Remote { name, n_bytes: None, hash: None }).collect();
    Some((commit, files))
}

/// Only files in the repository's root count: folders contain other formats and adapters.
pub(super) fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains('/')
}

/// Whether mlx_lm takes a file besides the weights.
pub(crate) fn accompanies_weights(name: &str) -> bool {
    let endings = [".json", ".py", ".tiktoken", ".txt", ".jsonl", ".jinja"];
    endings.iter().any(|it| name.ends_with(it)) || name == "tokenizer.model"
}
