//! Fetches the files of a model into the hub's cache.
//!
//! A blob of the cache with the right hash is not downloaded again, also if another program put it there. The snapshot
//! appears when all its blobs are there and checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use serde::Deserialize;

use super::download::{self, RemoteFile};
use super::listing::{Remote, accompanies_weights, is_weights};
use super::{Snapshot, parallel};
use crate::cache::{BlobHash, CachedRepository};
use crate::digest::{sha256_bytes, sha256_file};
use crate::error::{StoreError, io_error};
use crate::manifest::FileRecord;

const INDEX: &str = "model.safetensors.index.json";
/// The limit for a file of unknown size that has no weights. Configurations and tokenizers have tens of megabytes.
const MAX_SMALL_BYTES: u64 = 256 << 20;

/// A model in the cache.
pub(crate) struct Fetched {
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<FileRecord>,
}

/// A file whose blob is in the cache.
struct Stored {
    record: FileRecord,
    blob: String,
}

impl Snapshot<'_> {
    /// Downloads the files of a model into the cache, except the blobs that are there. Besides the weights it takes what
    /// mlx_lm takes, so that this finds the model complete. `revision` is what the user called the commit.
    pub(crate) fn fetch_model(
        &self,
        revision: &str,
        on_bytes: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Fetched, StoreError> {
        let repository = &self.cached;
        if self.hub.options.offline {
            return Err(StoreError::Offline { reference: format!("hf:{}@{revision}", self.repository) });
        }
        if self.remote("tokenizer.json").is_none() {
            let reason = "a model without `tokenizer.json`".to_owned();
            return Err(StoreError::HubNoModel { repository: self.repository.clone(), reason });
        }
        repository.prepare()?;
        let _lock = repository.lock()?;
        let index = match self.remote(INDEX) {
            Some(index) => Some(self.store(repository, index, &mut |_| Ok(()))?),
            None => None,
        };
        let weights = self.weight_names(index.map(|it| repository.blob(&it.blob)).as_deref())?;
        let wanted: Vec<&Remote> = self
            .files
            .iter()
            .filter(|it| weights.contains(&it.name) || accompanies_weights(&it.name))
            .filter(|it| is_relative(&it.name))
            .collect();
        let total: Option<u64> = wanted.iter().map(|it| it.n_bytes).sum();
        let stored = parallel::for_each(
            wanted.len(),
            self.hub.options.n_parallel,
            |idx, on_bytes| self.store(repository, wanted[idx], on_bytes),
            &mut |done| on_bytes(done, total),
        )?;
        let files: Vec<_> = stored.iter().map(|it| (it.record.name.clone(), it.blob.clone())).collect();
        let folder = repository.publish_snapshot(&self.commit, &files)?;
        repository.publish_ref(revision, &self.commit)?;
        let mut files: Vec<FileRecord> = stored.into_iter().map(|it| it.record).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Fetched { folder, files })
    }

    /// Puts a file's blob into the cache, unless it is there.
    fn store(
        &self,
        repository: &CachedRepository,
        file: &Remote,
        on_bytes: &mut dyn FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<Stored, StoreError> {
        let what = format!("{}/{}", self.repository, file.name);
        // Without a known hash the blob's name is only known from the answer.
        let key = match &file.hash {
            Some(hash) => hash.name().to_owned(),
            None => sha256_bytes(format!("{}/{}", self.commit, file.name).as_bytes()),
        };
        let _lock = repository.lock_blob(&key)?;
        if let Some(hash) = &file.hash
            && let Some(record) = checked_blob(&repository.blob(&key), file, hash, &what, on_bytes)?
        {
            on_bytes(record.n_bytes)?;
            return Ok(Stored { record, blob: key });
        }
        let remote = RemoteFile {
            url: &self.url(&file.name),
            what: &what,
            sha256: file.sha256(),
            n_bytes: file.n_bytes,
            max_bytes: if is_weights(&file.name) { u64::MAX } else { MAX_SMALL_BYTES },
        };
        let path = repository.scratch().join(&key);
        let done = download::download(&self.hub.client, &remote, &path, &mut |done, _| on_bytes(done))?;
        let name = match &file.hash {
            Some(hash) => hash.name().to_owned(),
            None => {
                done.etag.filter(|it| BlobHash::of_name(it).is_some()).unwrap_or_else(|| done.sha256.clone())
            }
        };
        // The SHA-256 was compared while the file came.
        if let Some(hash @ BlobHash::Git(_)) = BlobHash::of_name(&name)
            && let Err(err) = hash.check(&path, &what, &mut |_| {})
        {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
            return Err(err);
        }
        repository.publish_blob(&path, &name)?;
        let record = FileRecord { name: file.name.clone(), n_bytes: done.n_bytes, sha256: done.sha256 };
        Ok(Stored { record, blob: name })
    }

    /// The weight files that the index names; without an index those named `model*`, or else all.
    fn weight_names(&self, index: Option<&Path>) -> Result<BTreeSet<String>, StoreError> {
        if let Some(path) = index {
            let text = fs::read(path).map_err(io_error("read", path))?;
            let bad = |err: model_json::ModelJsonError| StoreError::BadIndex {
                path: path.to_owned(),
                reason: err.to_string(),
            };
            let index = model_json::parse(&text).map_err(bad)?;
            let index: Index = model_json::fields(&index).map_err(bad)?;
            let names: BTreeSet<String> = index.weight_map.into_values().collect();
            return match names.iter().find(|it| self.remote(it).is_none() || !is_weights(it)) {
                Some(shard) => Err(StoreError::HubNotFound { what: format!("{}/{shard}", self.repository) }),
                None => Ok(names),
            };
        }
        let all: BTreeSet<String> =
            self.files.iter().map(|it| it.name.clone()).filter(|it| is_weights(it)).collect();
        let model: BTreeSet<String> = all.iter().filter(|it| it.starts_with("model")).cloned().collect();
        Ok(if model.is_empty() { all } else { model })
    }
}

/// The record of a blob that is in the cache and has the right bytes; `None` if it must be downloaded.
fn checked_blob(
    blob: &Path,
    file: &Remote,
    hash: &BlobHash,
    what: &str,
    on_bytes: &mut dyn FnMut(u64) -> Result<(), StoreError>,
) -> Result<Option<FileRecord>, StoreError> {
    let Ok(metadata) = fs::metadata(blob) else { return Ok(None) };
    let mut stop = Ok(());
    let is_right = file.n_bytes.is_none_or(|it| it == metadata.len())
        && hash.check(blob, what, &mut |done| stop = on_bytes(done)).is_ok();
    stop?;
    if !is_right {
        tracing::warn!(blob = %blob.display(), "a file in the hub's cache is damaged, and is downloaded again");
        return Ok(None);
    }
    let sha256 = match hash {
        BlobHash::Sha256(it) => it.clone(),
        BlobHash::Git(_) => sha256_file(blob, &mut |_| {})?.0,
    };
    Ok(Some(FileRecord { name: file.name.clone(), n_bytes: metadata.len(), sha256 }))
}

/// Whether a file's name stays in the folder that it is joined to.
fn is_relative(name: &str) -> bool {
    let is_plain = |it: &str| !it.is_empty() && it != "." && it != ".." && !it.contains(['\\', '\0']);
    name.split('/').all(is_plain)
}

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}
