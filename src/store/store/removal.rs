//! Removing models and what is left of others: [`Removal`], which is planned first and then carried out.

use std::fs;
use std::path::{Path, PathBuf};

use super::Store;
use super::disk::{clear, create, folder_bytes};
use crate::error::{StoreError, io_error};

/// What will be deleted.
#[derive(Debug, Default)]
pub struct Removal {
    pub n_bytes: u64,
    /// What is directly inside the store's own folders.
    folders: Vec<PathBuf>,
    /// The name whose lock is held while the folders are deleted.
    name: Option<String>,
    #[cfg(feature = "hub")]
    cached: crate::cache::Removal,
    #[cfg(feature = "hub")]
    repository: Option<crate::cache::CachedRepository>,
}

impl Removal {
    pub fn is_empty(&self) -> bool {
        self.paths().next().is_none()
    }

    /// What is deleted, with everything in it.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        #[cfg(feature = "hub")]
        let folders = folders.chain(self.cached.paths());
        folders
    }
}

impl Store {
    /// The removal of the model of that name or reference, with its unfinished downloads. A repository of the hub's cache
    /// goes as a whole, unless the name has a revision.
    pub fn removal(&self, name: &str) -> Result<Removal, StoreError> {
        let own = self.name_in_models(name);
        let places = own.iter().flat_map(|it| [self.models().join(it), self.partial().join(it)]);
        let mut folders: Vec<_> = places.filter(|it| it.symlink_metadata().is_ok()).collect();
        if let Some(own) = &own {
            folders.extend(self.packed_of(own)?);
        }
        let n_bytes = bytes(&folders)?;
        let removal = Removal { n_bytes, folders, name: own.clone(), ..Removal::default() };
        // Unfinished downloads alone are not the model.
        if own.is_some_and(|it| self.models().join(it).symlink_metadata().is_ok()) {
            return Ok(removal);
        }
        #[cfg(feature = "hub")]
        if let Some(removal) = self.removal_from_cache(name, &removal)? {
            return Ok(removal);
        }
        if removal.folders.is_empty() {
            return Err(StoreError::NotInstalled { name: name.to_owned(), home: self.home.clone() });
        }
        Ok(removal)
    }

    /// The same with what the hub's cache has of a name; `None` if it has nothing.
    #[cfg(feature = "hub")]
    fn removal_from_cache(&self, name: &str, rest: &Removal) -> Result<Option<Removal>, StoreError> {
        let Some((repository, _)) = self.named(name) else { return Ok(None) };
        let (cached, commits) = if name.contains('@') {
            let Some(installed) = self.installed_in_cache(name) else { return Ok(None) };
            let commit = installed.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (repository.removal_of(&commit)?, vec![commit])
        } else {
            (repository.removal(), repository.commits()?)
        };
        let pins = commits.iter().flat_map(|it| self.pins_of(&repository, it));
        let mut packed = Vec::new();
        for commit in &commits {
            packed.extend(self.packed_of(commit)?);
        }
        Ok(Some(Removal {
            n_bytes: rest.n_bytes + cached.n_bytes + bytes(&packed)?,
            folders: rest.folders.iter().cloned().chain(pins).chain(packed).collect(),
            name: rest.name.clone(),
            cached,
            repository: Some(repository),
        }))
    }

    /// The removal of what nothing needs: unfinished downloads that no process is working on, snapshots of the hub's cache
    /// that neither a branch nor a tag nor a manifest names, blobs that nothing links to, and names without a model.
    pub fn litter(&self) -> Result<Removal, StoreError> {
        let mut folders = Vec::new();
        for path in entries(&self.partial())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || !self.is_locked(&name) {
                folders.push(path);
            }
        }
        folders.extend(self.unused_packed()?);
        let n_bytes = bytes(&folders)?;
        #[cfg(feature = "hub")]
        {
            let is_idle = |it: &PathBuf| !self.is_pin_of_something(it);
            folders.extend(entries(&self.pins())?.into_iter().filter(is_idle));
            let cached =
                self.cache.litter(|repository, commit| !self.pins_of(repository, commit).is_empty())?;
            let mut packed = Vec::new();
            for commit in &cached.detached {
                packed.extend(self.packed_of(commit)?.into_iter().filter(|it| !folders.contains(it)));
            }
            let n_bytes = n_bytes + cached.n_bytes + bytes(&packed)?;
            folders.extend(packed);
            Ok(Removal { n_bytes, folders, name: None, cached, repository: None })
        }
        #[cfg(not(feature = "hub"))]
        Ok(Removal { n_bytes, folders, name: None })
    }

    /// Deletes what was planned. A symbolic link is unlinked and not followed.
    pub fn carry_out(&self, removal: &Removal) -> Result<(), StoreError> {
        let _lock = removal.name.as_deref().map(|it| self.lock(it)).transpose()?;
        for path in &removal.folders {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                // Renamed first, so that no process finds an incomplete model.
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let doomed = self.partial().join(format!(".removed-{name}"));
                if *path != doomed {
                    create(&self.partial())?;
                    clear(&doomed)?;
                    fs::rename(path, &doomed).map_err(io_error("remove", path))?;
                }
                clear(&doomed)?;
            } else {
                fs::remove_file(path).map_err(io_error("remove", path))?;
            }
        }
        #[cfg(feature = "hub")]
        {
            let in_cache = removal.repository.as_ref().filter(|it| it.path.join("snapshots").is_dir());
            let _lock = in_cache.map(crate::cache::CachedRepository::lock).transpose()?;
            removal.cached.run(&self.cache)?;
        }
        Ok(())
    }

    /// Whether another process is making the model of this name.
    fn is_locked(&self, name: &str) -> bool {
        let Ok(file) = fs::File::open(self.locks().join(name)) else { return false };
        matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
    }

    #[cfg(feature = "hub")]
    fn is_pin_of_something(&self, pin: &Path) -> bool {
        use crate::manifest::{Manifest, Source};
        let Some(manifest) = Manifest::read(pin).ok().flatten() else { return false };
        let Source::Hub { repository, commit, .. } = manifest.source else { return false };
        self.cache.repository(&repository).snapshot(&commit).is_dir()
    }
}

/// What is directly inside a folder; nothing if there is no folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|it| it.map(|it| it.path()).map_err(io_error("read", folder))).collect(),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(io_error("read", folder)(err)),
    }
}

/// The size of all files and folders; links count nothing.
fn bytes(paths: &[PathBuf]) -> Result<u64, StoreError> {
    let size = |path: &PathBuf| match path.symlink_metadata() {
        Ok(it) if it.is_dir() => folder_bytes(path),
        Ok(it) if it.is_file() => Ok(it.len()),
        _ => Ok(0),
    };
    paths.iter().map(size).sum()
}
