//! Downloads models from the Hugging Face hub: [`Hub`] gives a [`Snapshot`], which downloads files.
//!
//! One request lists the files of a repository at a commit; then the files are fetched at that commit, several at a time.
//! Models go into the cache that is shared with Python ([`crate::cache`]), a GGUF file into a folder of ours, where it is
//! converted. The client is our own, on `ureq`: `hf-hub` 1.0 looks at no status, size or hash, does not resume, knows no
//! `HF_HUB_OFFLINE` and has 297 dependencies; of `hf-hub` 0.5 without its network there remain the names of a few
//! paths, without those of blobs, and refs that are not written at once. The token is sent to the endpoint only.

mod client;
mod download;
mod listing;
mod model;
mod options;
mod parallel;
mod redirect;
mod retry;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cache::{CachedRepository, HubCache, is_commit};
use crate::digest::sha256_file;
use crate::error::{StoreError, io_error};
use crate::manifest::FileRecord;
use client::Client;
use download::{OnBytes, RemoteFile};
use listing::{Listing, Remote};

pub(crate) use listing::accompanies_weights;
pub use options::HubOptions;
pub(crate) use options::cache_folder;

/// Taken if a repository has one model in several quantizations: the most common choice.
const PREFERRED_GGUF: &str = "q4_k_m";

/// The characters that are escaped when a name becomes part of a URL.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A hub, the public one or a mirror.
pub(crate) struct Hub<'a> {
    options: &'a HubOptions,
    cache: HubCache,
    client: Client,
}

impl<'a> Hub<'a> {
    pub(crate) fn new(options: &'a HubOptions, cache: HubCache) -> Self {
        Self { options, cache, client: Client::new(options) }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.options.endpoint
    }

    /// The files of a repository at a revision, which is resolved to a commit.
    pub(crate) fn snapshot(&self, repository: &str, revision: &str) -> Result<Snapshot<'_>, StoreError> {
        let cached = self.cache.repository(repository);
        let (commit, files) = if self.options.offline {
            let reference = format!("hf:{repository}@{revision}");
            listing::of_cache(&cached, revision).ok_or(StoreError::Offline { reference })?
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
        Ok(Snapshot { hub: self, repository: repository.to_owned(), commit, files, cached })
    }
}

/// A repository at one commit.
pub(crate) struct Snapshot<'h> {
    hub: &'h Hub<'h>,
    repository: String,
    commit: String,
    files: Vec<Remote>,
    /// The repository in the cache, which need not have this commit.
    cached: CachedRepository,
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
        if self.remote("config.json").is_some() && self.files.iter().any(|it| listing::is_weights(&it.name)) {
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
            // The cache need not have all that the repository has.
            ([], _) if self.hub.options.offline => {
                Err(StoreError::Offline { reference: format!("hf:{}", self.repository) })
            }
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
        let listed = remote.and_then(Remote::sha256);
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
        let cached = self.cached.snapshot(&self.commit).join(name);
        if cached.is_file() {
            let part = path.with_extension("copy");
            fs::copy(&cached, &part).map_err(io_error("copy", &cached))?;
            let (sha256, n_bytes) = sha256_file(&part, &mut |done| {
                // Nobody stops the download of a single file.
                let _ = on_bytes(done, n_bytes);
            })?;
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
        let url = self.url(name);
        let file = RemoteFile {
            url: &url,
            what: &format!("{}/{name}", self.repository),
            sha256: expected,
            n_bytes,
            max_bytes: u64::MAX,
        };
        let done = download::download(&self.hub.client, &file, path, on_bytes)?;
        Ok(FileRecord { name: name.to_owned(), n_bytes: done.n_bytes, sha256: done.sha256 })
    }

    fn url(&self, name: &str) -> String {
        let (endpoint, commit) = (&self.hub.options.endpoint, &self.commit);
        format!("{endpoint}/{}/resolve/{commit}/{}", escaped_path(&self.repository), escaped_path(name))
    }

    fn remote(&self, name: &str) -> Option<&Remote> {
        self.files.iter().find(|it| it.name == name)
    }
}

/// Escapes a name as a single segment of a path.
fn escaped(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, &ESCAPED).into()
}

/// Escapes a path and keeps its slashes.
fn escaped_path(name: &str) -> String {
    name.split('/').map(escaped).collect::<Vec<_>>().join("/")
}
