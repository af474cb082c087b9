//! Models in the hub's cache: which commit a reference means, and whether all of it is there.
//!
//! A manifest in `HOME/pins` holds a model to its commit: a branch may have moved since, here or on the hub, and the model
//! stays what it was until it is pulled again. A model without one, which another program fetched, is the commit that the
//! cache's ref names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Store;
use super::disk::{clear, create, sync_folder};
use super::installed::{Installed, Place};
use crate::access_times::AccessTimes;
use crate::cache::{BlobHash, CachedRepository};
use crate::digest::sha256_file;
use crate::error::{StoreError, io_error};
use crate::folder::ModelFolder;
use crate::hub::accompanies_weights;
use crate::manifest::{FileRecord, Manifest, Source};
use crate::reference::ModelRef;

impl Store {
    /// The snapshot of a reference with its commit, if the whole model is there.
    pub(super) fn find_cached(&self, reference: &ModelRef, name: &str) -> Option<(ModelFolder, String)> {
        let ModelRef::Hub { repository, revision, file: None } = reference else { return None };
        let repository = self.cache.repository(repository);
        let pin = Manifest::read(&self.pins().join(name)).ok().flatten();
        if let Some(Manifest { source: Source::Hub { commit, .. }, files, .. }) = &pin {
            let snapshot = repository.snapshot(commit);
            if files.iter().all(|it| has_size(&snapshot.join(&it.name), it.n_bytes))
                && let Some(folder) = open_whole(&repository, commit)
            {
                return Some((folder, commit.clone()));
            }
        }
        let commit = repository.commit(revision.as_deref().unwrap_or("main"))?;
        let folder = open_whole(&repository, &commit)?;
        let manifest = records(&repository, &commit).map(|files| Manifest {
            reference: reference.to_string(),
            source: Source::Hub {
                endpoint: String::new(),
                repository: repository.id.clone(),
                commit: commit.clone(),
                gguf: None,
            },
            importer_version: None,
            files,
        });
        // A store that cannot be written to is no reason not to use the model.
        if let Err(err) = manifest.and_then(|it| self.pin(name, &it)) {
            tracing::debug!(%err, "cannot note the commit of a model");
        }
        Some((folder, commit))
    }

    /// Holds a model to its commit.
    pub(super) fn pin(&self, name: &str, manifest: &Manifest) -> Result<(), StoreError> {
        let pins = self.pins();
        create(&pins)?;
        let made = tempfile::Builder::new()
            .prefix(".pin-")
            .tempdir_in(&pins)
            .map_err(io_error("create", &pins))?
            .keep();
        manifest.write(&made)?;
        let folder = pins.join(name);
        clear(&folder)?;
        fs::rename(&made, &folder).map_err(io_error("create", &folder))?;
        sync_folder(&pins)
    }

    /// The models in the cache, sorted by name. One that is not complete is listed too, so that the user can remove it.
    pub(super) fn list_cached(&self) -> Result<Vec<Installed>, StoreError> {
        let mut found = Vec::new();
        for repository in self.cache.repositories()? {
            let of_main = self.commit_of(&repository, "main");
            let refs = repository.refs();
            for commit in repository.commits()? {
                let files = repository.files(&commit);
                if !files.iter().any(|it| is_of_model(it)) {
                    continue;
                }
                let name_of_ref = refs.iter().find(|it| it.1 == commit).map(|it| it.0.as_str());
                let name = if of_main.as_ref() == Some(&commit) {
                    repository.id.clone()
                } else {
                    format!("{}@{}", repository.id, name_of_ref.unwrap_or(&commit))
                };
                found.push(self.snapshot(&repository, &commit, name));
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The model of the cache that the user means by a name of the list or by a reference.
    pub(super) fn installed_in_cache(&self, text: &str) -> Option<Installed> {
        let (repository, revision) = self.named(text)?;
        let commit = self.commit_of(&repository, revision)?;
        let name = text.strip_prefix("hf:").unwrap_or(text).to_owned();
        repository.snapshot(&commit).is_dir().then(|| self.snapshot(&repository, &commit, name))
    }

    /// The repository of the cache and the revision that a name of the list or a reference has.
    pub(super) fn named<'a>(&self, text: &'a str) -> Option<(CachedRepository, &'a str)> {
        let text = text.strip_prefix("hf:").unwrap_or(text);
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let all = self.cache.repositories().ok()?;
        all.into_iter().find(|it| it.id == id).map(|it| (it, revision))
    }

    /// The commit that a revision means here: the pinned one, or what the cache's ref says.
    fn commit_of(&self, repository: &CachedRepository, revision: &str) -> Option<String> {
        let suffix = if revision == "main" { String::new() } else { format!("@{revision}") };
        let pin = format!("hf:{}{suffix}", repository.id).parse::<ModelRef>().ok()?.folder_name()?;
        let manifest = Manifest::read(&self.pins().join(pin)).ok().flatten();
        let pinned = manifest.and_then(|it| match it.source {
            Source::Hub { commit, .. } => Some(commit),
            _ => None,
        });
        pinned.filter(|it| repository.snapshot(it).is_dir()).or_else(|| repository.commit(revision))
    }

    fn snapshot(&self, repository: &CachedRepository, commit: &str, name: String) -> Installed {
        let path = repository.snapshot(commit);
        let files = repository.files(commit).into_iter().filter_map(|it| path.join(it).canonicalize().ok());
        // Two files of a snapshot may have the same blob.
        let files: BTreeSet<PathBuf> = files.collect();
        let n_bytes = files.iter().filter_map(|it| it.metadata().ok()).map(|it| it.len()).sum();
        let pin = self.pins_of(repository, commit).into_iter().next();
        let manifest = pin.as_ref().and_then(|it| Manifest::read(it).ok().flatten());
        let touched = pin.as_ref().and_then(|it| Manifest::touched(it));
        let last_used = touched.max(AccessTimes::of(&path).latest());
        Installed { name, path, n_bytes, place: Place::HubCache, manifest, last_used }
    }

    /// The folders of the manifests that hold a reference to this commit.
    pub(super) fn pins_of(&self, repository: &CachedRepository, commit: &str) -> Vec<PathBuf> {
        let is_of = |it: &PathBuf| {
            let manifest = Manifest::read(it).ok().flatten();
            manifest.is_some_and(|it| {
                matches!(&it.source, Source::Hub { repository: id, commit: at, .. }
                    if *id == repository.id && *at == commit)
            })
        };
        let pins = fs::read_dir(self.pins()).into_iter().flatten().flatten();
        pins.map(|it| it.path()).filter(is_of).collect()
    }
}

/// Opens a snapshot if it has a model, and all files that its repository is known to have for it.
fn open_whole(repository: &CachedRepository, commit: &str) -> Option<ModelFolder> {
    let snapshot = repository.snapshot(commit);
    let listed = repository.listed_sizes(commit).unwrap_or_default();
    let is_there = |(name, n_bytes): &(String, u64)| {
        !accompanies_weights(name) || has_size(&snapshot.join(name), *n_bytes)
    };
    if !snapshot.is_dir() || !listed.iter().all(is_there) {
        return None;
    }
    ModelFolder::open(&snapshot).ok()
}

fn has_size(path: &Path, n_bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() == n_bytes)
}

fn is_of_model(name: &str) -> bool {
    let endings = [".safetensors", ".gguf", ".bin", ".npz"];
    name == "config.json" || endings.iter().any(|it| name.ends_with(it))
}

/// The records of a snapshot's files. What a blob's name says of its hash is believed; small files are hashed.
fn records(repository: &CachedRepository, commit: &str) -> Result<Vec<FileRecord>, StoreError> {
    let snapshot = repository.snapshot(commit);
    let mut records = Vec::new();
    for name in repository.files(commit) {
        let path = snapshot.join(&name);
        let blob = fs::read_link(&path).ok().and_then(|it| Some(it.file_name()?.to_str()?.to_owned()));
        let named = blob.as_deref().and_then(BlobHash::of_name);
        let record = if let Some(BlobHash::Sha256(sha256)) = named {
            let n_bytes = fs::metadata(&path).map_err(io_error("read", &path))?.len();
            FileRecord { name, n_bytes, sha256 }
        } else {
            let (sha256, n_bytes) = sha256_file(&path, &mut |_| {})?;
            FileRecord { name, n_bytes, sha256 }
        };
        records.push(record);
    }
    Ok(records)
}
