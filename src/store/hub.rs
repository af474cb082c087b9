//! Downloads models from the Hugging Face hub: [`Hub`] gives a [`Snapshot`], which downloads files.
//!
//! One request lists the files of a repository at a commit; then each file is fetched at that commit. This is built on
//! `ureq` and not on `hf-hub`: version 0.5 of `hf-hub` has no connection timeout (without one, falling back to the
//! package index would take minutes), checks no hash and has no offline mode; version 1.0 has 280 dependencies. Files
//! go into our own folder; a file that Python's cache has at the same commit is copied from there. The token is sent to
//! the endpoint only.

mod client;
mod download;
mod options;
mod redirect;
mod retry;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runabout_text::model_json;
use serde::Deserialize;

use crate::digest::sha256_file;
use crate::error::{StoreError, io_error};
use crate::manifest::FileRecord;
use client::Client;
use download::{OnBytes, RemoteFile};

pub use options::HubOptions;

/// The small files that belong to a model folder.
const SMALL_FILES: [&str; 9] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    INDEX,
];
const INDEX: &str = "model.safetensors.index.json";
/// Taken if a repository has one model in several quantizations: the most common choice.
const PREFERRED_GGUF: &str = "q4_k_m";

/// The limit for a file of unknown size. Configurations and tokenizers have up to tens of megabytes.
const MAX_SMALL_BYTES: u64 = 256 << 20;
/// The characters that are escaped when a name becomes part of a URL.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A hub, the public one or a mirror.
pub(crate) struct Hub<'a> {
    options: &'a HubOptions,
    client: Client,
}

impl<'a> Hub<'a> {
    pub(crate) fn new(options: &'a HubOptions) -> Self {
        Self { options, client: Client::new(options) }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.options.endpoint
    }

    /// The files of a repository at a revision, which is resolved to a commit.
    pub(crate) fn snapshot(&self, repository: &str, revision: &str) -> Result<Snapshot<'_>, StoreError> {
        let cache = self
            .options
            .cache
            .as_ref()
            .map(|it| it.join(format!("models--{}", repository.replace('/', "--"))));
        let (commit, files) = if self.options.offline {
            let what = format!("hf:{repository}@{revision}");
            cache
                .as_deref()
                .and_then(|it| cached_snapshot(it, revision))
                .ok_or(StoreError::Offline { reference: what })?
        } else {
            let listing: Listing = self.client.json(
                &format!(
                    "{}/api/models/{}/revision/{}?blobs=true",
                    self.options.endpoint,
                    escaped_path(repository),
                    escaped(revision)
                ),
                &format!("{repository}@{revision}"),
            )?;
            // The commit becomes a part of URLs and of a path.
            if !is_commit(&listing.sha) {
                return Err(StoreError::HubAnswer {
                    what: format!("{repository}@{revision}"),
                    reason: format!("`sha` {:?}, which is not a commit", listing.sha),
                });
            }
            let files = listing.siblings.into_iter().map(Remote::from).collect();
            (listing.sha, files)
        };
        let cached = cache.map(|it| it.join("snapshots").join(&commit));
        Ok(Snapshot { hub: self, repository: repository.to_owned(), commit, files, cached })
    }
}

/// A file of a repository, with what the listing says about it.
struct Remote {
    name: String,
    n_bytes: Option<u64>,
    sha256: Option<String>,
}

impl From<Sibling> for Remote {
    fn from(it: Sibling) -> Self {
        let n_bytes = it.lfs.as_ref().and_then(|lfs| lfs.size).or(it.size);
        Self { name: it.rfilename, n_bytes, sha256: it.lfs.and_then(|lfs| lfs.sha256) }
    }
}

/// A repository at one commit.
pub(crate) struct Snapshot<'h> {
    hub: &'h Hub<'h>,
    repository: String,
    commit: String,
    files: Vec<Remote>,
    /// The folder of this commit in Python's cache, if it is there.
    cached: Option<PathBuf>,
}

impl Snapshot<'_> {
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    /// The GGUF file to download; `None` if the repository is a folder of safetensors. `wanted` is the user's choice.
    pub(crate) fn choose_gguf(&self, wanted: Option<&str>) -> Result<Option<String>, StoreError> {
        if let Some(wanted) = wanted {
            return match self.remote(wanted) {
                Some(it) => Ok(Some(it.name.clone())),
                None => Err(StoreError::HubNotFound { what: format!("{}/{wanted}", self.repository) }),
            };
        }
        if self.remote("config.json").is_some() && self.files.iter().any(|it| is_weights(&it.name)) {
            return Ok(None);
        }
        let is_whole_gguf = |name: &str| {
            let is_gguf = Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
            is_gguf && !name.contains("-of-") && !name.contains("mmproj")
        };
        let ggufs: Vec<&str> =
            self.files.iter().map(|it| it.name.as_str()).filter(|it| is_whole_gguf(it)).collect();
        let preferred = ggufs.iter().find(|it| it.to_ascii_lowercase().contains(PREFERRED_GGUF));
        match (ggufs.as_slice(), preferred) {
            ([], _) => Err(StoreError::HubNoModel {
                repository: self.repository.clone(),
                reason: "neither config.json with safetensors nor a GGUF file".to_owned(),
            }),
            ([only], _) => Ok(Some((*only).to_owned())),
            (_, Some(it)) => Ok(Some((*it).to_owned())),
            (many, None) => Err(StoreError::HubNoModel {
                repository: self.repository.clone(),
                reason: format!("several GGUF files: {}", many.join(", ")),
            }),
        }
    }

    /// Downloads a file to `path` unless it is there already. Its hash must be `expected`, or, if that is `None`, the
    /// one that the hub states.
    pub(crate) fn download(
        &self,
        name: &str,
        path: &Path,
        expected: Option<&str>,
        on_bytes: OnBytes<'_>,
    ) -> Result<FileRecord, StoreError> {
        let remote = self.remote(name);
        let listed = remote.and_then(|it| it.sha256.as_deref());
        // Fails before anything is downloaded.
        if let (Some(expected), Some(got)) = (expected, listed.filter(|it| Some(*it) != expected)) {
            let what = format!("{}/{name}", self.repository);
            return Err(StoreError::HashMismatch {
                what,
                expected: expected.to_owned(),
                got: got.to_owned(),
            });
        }
        let expected = expected.or(listed);
        let n_bytes = remote.and_then(|it| it.n_bytes);
        if let Some(cached) = self.cached.as_ref().map(|it| it.join(name)).filter(|it| it.is_file()) {
            let part = path.with_extension("copy");
            fs::copy(&cached, &part).map_err(io_error("copy", &cached))?;
            let (sha256, n_bytes) = sha256_file(&part, &mut |done| on_bytes(done, n_bytes))?;
            if expected.is_none_or(|it| it == sha256) {
                fs::rename(&part, path).map_err(io_error("create", path))?;
                return Ok(FileRecord { name: name.to_owned(), n_bytes, sha256 });
            }
            tracing::warn!(file = %cached.display(), "a file in the hub's cache differs from the hash that the hub states");
            fs::remove_file(&part).map_err(io_error("remove", &part))?;
        }
        if self.hub.options.offline {
            return Err(StoreError::Offline { reference: format!("hf:{}/{name}", self.repository) });
        }
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.hub.options.endpoint,
            escaped_path(&self.repository),
            self.commit,
            escaped_path(name)
        );
        let file = RemoteFile {
            url: &url,
            what: &format!("{}/{name}", self.repository),
            sha256: expected,
            n_bytes,
            max_bytes: if SMALL_FILES.contains(&name) { MAX_SMALL_BYTES } else { u64::MAX },
        };
        let (sha256, n_bytes) = download::download(&self.hub.client, &file, path, on_bytes)?;
        Ok(FileRecord { name: name.to_owned(), n_bytes, sha256 })
    }

    /// Downloads the files of a model folder into `folder`, except those that are already complete there.
    pub(crate) fn download_model(
        &self,
        folder: &Path,
        on_bytes: OnBytes<'_>,
    ) -> Result<Vec<FileRecord>, StoreError> {
        // Files of an earlier attempt can only be used for the same commit.
        let marker = folder.join(".commit");
        if fs::read_to_string(&marker).ok().as_deref() != Some(&self.commit) {
            match fs::remove_dir_all(folder) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("remove", folder)(err));
                }
                _ => {}
            }
            fs::create_dir_all(folder).map_err(io_error("create", folder))?;
            fs::write(&marker, &self.commit).map_err(io_error("write", &marker))?;
        }
        let mut records = Vec::new();
        let mut names: Vec<String> =
            SMALL_FILES.iter().filter(|it| self.remote(it).is_some()).map(|it| (*it).to_owned()).collect();
        let weights = self.weight_names(folder)?;
        names.extend(weights);
        let total: Option<u64> = names.iter().map(|it| self.remote(it)?.n_bytes).sum();
        let mut before = 0;
        for name in names {
            let path = folder.join(&name);
            let record = if path.is_file() {
                let (sha256, n_bytes) = sha256_file(&path, &mut |done| on_bytes(before + done, total))?;
                FileRecord { name, n_bytes, sha256 }
            } else {
                self.download(&name, &path, None, &mut |done, _| on_bytes(before + done, total))?
            };
            before += record.n_bytes;
            records.push(record);
        }
        fs::remove_file(&marker).map_err(io_error("remove", &marker))?;
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    /// The weight files that the index names; without an index those named `model*`, or else all.
    fn weight_names(&self, folder: &Path) -> Result<BTreeSet<String>, StoreError> {
        if self.remote(INDEX).is_some() {
            let path = folder.join(INDEX);
            if !path.is_file() {
                self.download(INDEX, &path, None, &mut |_, _| {})?;
            }
            let text = fs::read(&path).map_err(io_error("read", &path))?;
            let bad = |err: model_json::ModelJsonError| StoreError::BadIndex {
                path: path.clone(),
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

    fn remote(&self, name: &str) -> Option<&Remote> {
        self.files.iter().find(|it| it.name == name)
    }
}

/// Only files in the repository's root count: folders contain other formats and adapters.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains('/')
}

/// Escapes a name as a single segment of a path.
fn escaped(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, &ESCAPED).into()
}

/// Escapes a path and keeps its slashes.
fn escaped_path(name: &str) -> String {
    name.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|it| it.is_ascii_hexdigit())
}

/// Looks in Python's cache, where `refs/<revision>` contains a commit and `snapshots/<commit>` its files.
fn cached_snapshot(repository: &Path, revision: &str) -> Option<(String, Vec<Remote>)> {
    let commit = match fs::read_to_string(repository.join("refs").join(revision)) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => revision.to_owned(),
    };
    if !is_commit(&commit) {
        return None;
    }
    let files = fs::read_dir(repository.join("snapshots").join(&commit))
        .ok()?
        .flatten()
        .map(|it| Remote { name: it.file_name().to_string_lossy().into_owned(), n_bytes: None, sha256: None })
        .collect();
    Some((commit, files))
}

/// The answer to `GET /api/models/{repository}/revision/{revision}?blobs=true`.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
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

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}
