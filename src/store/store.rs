//! Where models are kept: [`Store`].
//!
//! `HOME/models/NAME` is a model that was converted here. It is made in `HOME/partial/NAME` and renamed, so it is
//! complete, with its manifest, as soon as it exists, and it stays until the user removes it. `HOME/locks/NAME` prevents
//! two processes from making the same model. An attempt that fails or is killed leaves its downloads in `partial`, where
//! the next one continues. A model of the hub that needs no conversion is in the cache that is shared with Python, and
//! `HOME/pins/NAME` says which commit of it is used. Nothing here loads or serves a model.

#[cfg(feature = "hub")]
mod cached;
mod disk;
mod fetch;
mod installed;
mod options;
mod packed;
mod removal;
#[cfg(test)]
mod tests;
mod verify;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

#[cfg(feature = "hub")]
use crate::cache::HubCache;
use crate::error::{StoreError, io_error};
use crate::folder::ModelFolder;
use crate::import::IMPORTER_VERSION;
use crate::manifest::{Manifest, Source};
use crate::progress::{Progress, Reporter};
use crate::reference::ModelRef;

use disk::{clear, create, stamp, sync_folder};
use fetch::{Fetched, Places};

pub use installed::{Installed, Place};
pub use options::Options;
pub use removal::Removal;
pub use verify::{Fault, FaultKind, Verdict};

/// The models on this machine.
#[derive(Clone, Debug)]
pub struct Store {
    home: PathBuf,
    #[cfg(feature = "hub")]
    cache: HubCache,
}

impl Store {
    /// The folder for models on this machine: `RUNABOUT_HOME`, or the platform's folder for application data.
    /// Environment variables are read through `variable`.
    pub fn default_home(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, StoreError> {
        let path = |name: &str| variable(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        if let Some(home) = path("RUNABOUT_HOME") {
            return Ok(home);
        }
        if !cfg!(target_os = "macos")
            && let Some(data) = path("XDG_DATA_HOME").filter(|it| it.is_absolute())
        {
            return Ok(data.join("runabout"));
        }
        let home = path("HOME").ok_or(StoreError::NoHome)?;
        let data = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
        Ok(home.join(data).join("runabout"))
    }

    /// The folder of the cache that Python uses, by the same variables; `None` if there is no place for it.
    #[cfg(feature = "hub")]
    pub fn hub_cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        crate::hub::cache_folder(&variable)
    }

    /// Opens the store that the environment names, and the hub's cache that Python uses.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, StoreError> {
        let this = Self::open(Self::default_home(&variable)?);
        #[cfg(feature = "hub")]
        if let Some(cache) = crate::hub::cache_folder(&variable) {
            return Ok(this.with_hub_cache(cache));
        }
        Ok(this)
    }

    /// The store in this folder, with the hub's cache in it. Nothing is created before there is something to put there, so
    /// that what is here can also be used where nothing can be written.
    pub fn open(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self {
            #[cfg(feature = "hub")]
            cache: HubCache::new(home.join("hub")),
            home,
        }
    }

    /// Keeps models of the hub in another cache. Its folder is created when something is put there.
    #[cfg(feature = "hub")]
    #[must_use]
    pub fn with_hub_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = HubCache::new(folder);
        self
    }

    /// The folder of the hub's cache.
    #[cfg(feature = "hub")]
    pub fn hub_cache(&self) -> &Path {
        self.cache.root()
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder of a model, downloaded and converted if necessary. Blocks; `progress` is called on this thread.
    pub fn resolve(
        &self,
        reference: &ModelRef,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ModelFolder, StoreError> {
        let reference = &absolute(reference)?;
        let Some(name) = reference.folder_name() else {
            let ModelRef::Folder(path) = reference else {
                unreachable!("only folders have no name in the store")
            };
            return ModelFolder::open(path);
        };
        let found = self.find(reference, &name)?;
        if found.state == State::Current && !options.is_refresh {
            return self.used(found, &name);
        }
        let _lock = self.lock(&name)?;
        // Another process may have made it in the meantime.
        let found = self.find(reference, &name)?;
        if found.state == State::Current && !(options.is_refresh && found.commit.is_some()) {
            return self.used(found, &name);
        }
        match self.make(reference, &name, &found, options, &mut Reporter::new(progress)) {
            Ok(Some(folder)) => ModelFolder::open(&folder),
            Ok(None) => self.used(found, &name),
            Err(err) if found.state == State::OldImport => {
                tracing::warn!(model = %reference, %err, "the model cannot be imported again; using the import of an older version");
                self.used(found, &name)
            }
            Err(err) if found.state == State::Current && is_of_network(&err) => {
                tracing::warn!(model = %reference, %err, "cannot ask for a newer commit; using the one that is here");
                self.used(found, &name)
            }
            Err(err) => Err(err),
        }
    }

    /// What is here for a reference.
    fn find(&self, reference: &ModelRef, name: &str) -> Result<Found, StoreError> {
        let folder = self.models().join(name);
        let (state, commit) = folder_state(reference, &folder)?;
        #[cfg(feature = "hub")]
        if state == State::Absent
            && let Some((opened, commit)) = self.find_cached(reference, name)
        {
            let folder = opened.path.clone();
            return Ok(Found { folder, state: State::Current, commit: Some(commit), opened: Some(opened) });
        }
        Ok(Found { folder, state, commit, opened: None })
    }

    /// Opens what was found, and remembers when.
    fn used(&self, found: Found, name: &str) -> Result<ModelFolder, StoreError> {
        // Opening a model reads its whole tokenizer, so it is not done twice.
        let folder = found.opened.map_or_else(|| ModelFolder::open(&found.folder), Ok)?;
        for manifest in [self.models().join(name), self.pins().join(name)] {
            Manifest::touch(&manifest);
        }
        Ok(folder)
    }

    fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    fn locks(&self) -> PathBuf {
        self.home.join("locks")
    }

    fn partial(&self) -> PathBuf {
        self.home.join("partial")
    }

    /// For each model of the hub's cache that is used, its manifest: the commit, and the hash of each file.
    fn pins(&self) -> PathBuf {
        self.home.join("pins")
    }

    /// Waits for any other process that is making the same model. The lock is held until the file is dropped.
    fn lock(&self, name: &str) -> Result<File, StoreError> {
        create(&self.locks())?;
        let path = self.locks().join(name);
        let file = File::create(&path).map_err(io_error("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                tracing::info!(
                    model = name,
                    "waiting for another process that is downloading the same model"
                );
                file.lock().map_err(io_error("lock", &path))?;
                Ok(file)
            }
            Err(TryLockError::Error(err)) => Err(io_error("lock", &path)(err)),
        }
    }

    /// Makes the model in `partial` and publishes it. Returns its folder, or `None` if the commit that was found is still
    /// the newest. The caller must hold the lock.
    fn make(
        &self,
        reference: &ModelRef,
        name: &str,
        found: &Found,
        options: &Options,
        reporter: &mut Reporter<'_>,
    ) -> Result<Option<PathBuf>, StoreError> {
        let partial = self.partial().join(name);
        let made = partial.join("model");
        clear(&made)?;
        create(&made)?;
        let places = Places {
            partial: &partial,
            made: &made,
            present: found.commit.as_deref(),
            #[cfg(feature = "hub")]
            cache: &self.cache,
        };
        let fetched = match fetch::fetch(reference, options, &places, reporter) {
            Ok(it) => it,
            Err(err) => {
                // An incomplete model is useless; the downloads stay, but no empty folders for them.
                clear(&made)?;
                let _ = fs::remove_dir(partial.join(fetch::WHEELS));
                let _ = fs::remove_dir(&partial);
                return Err(err);
            }
        };
        let manifest = match fetched {
            Fetched::Made(manifest) => manifest,
            #[cfg(feature = "hub")]
            Fetched::Cached { folder, manifest } => {
                clear(&partial)?;
                self.pin(name, &manifest)?;
                return Ok(Some(folder));
            }
            #[cfg(feature = "hub")]
            Fetched::Unchanged => return clear(&partial).map(|()| None),
        };
        manifest.write(&made)?;
        ModelFolder::open(&made)?;
        sync_folder(&made)?;

        create(&self.models())?;
        let folder = self.models().join(name);
        let replaced = partial.join("replaced");
        clear(&replaced)?;
        if folder.exists() {
            fs::rename(&folder, &replaced).map_err(io_error("replace", &folder))?;
        }
        fs::rename(&made, &folder).map_err(io_error("create", &folder))?;
        sync_folder(&self.models())?;
        clear(&partial)?;
        Ok(Some(folder))
    }
}

/// What is on this machine for a reference.
struct Found {
    folder: PathBuf,
    state: State,
    /// The commit of the hub that it is, if the reference names no commit itself.
    commit: Option<String>,
    opened: Option<ModelFolder>,
}

/// Whether what is here can be used for a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Current,
    /// Converted by another version of this crate, but usable.
    OldImport,
    /// The GGUF file has changed since the import.
    OtherSource,
}

/// The state of a folder in the models directory, and the commit that it was made from.
fn folder_state(reference: &ModelRef, folder: &Path) -> Result<(State, Option<String>), StoreError> {
    if !folder.is_dir() {
        return Ok((State::Absent, None));
    }
    // A folder without a manifest was put there by the user, and is used as it is.
    let Some(manifest) = Manifest::read(folder)? else { return Ok((State::Current, None)) };
    if let (ModelRef::Gguf(path), Source::File { modified_ns, gguf, .. }) = (reference, &manifest.source) {
        match stamp(path) {
            Ok((n_bytes, modified)) if (n_bytes, modified) != (gguf.n_bytes, *modified_ns) => {
                return Ok((State::OtherSource, None));
            }
            // A model stays even if the GGUF file that it was made from is gone.
            _ => {}
        }
    }
    let commit = match (reference, manifest.source) {
        (ModelRef::Hub { .. }, Source::Hub { commit, .. }) => Some(commit),
        _ => None,
    };
    Ok(match manifest.importer_version {
        // What was converted by another version is made again, also from the same commit.
        Some(version) if version != IMPORTER_VERSION => (State::OldImport, None),
        _ => (State::Current, commit),
    })
}

/// Whether a network that is down explains an error.
fn is_of_network(err: &StoreError) -> bool {
    matches!(
        err,
        StoreError::HubUnreachable { .. } | StoreError::HubBroke { .. } | StoreError::Offline { .. }
    )
}

/// Makes paths absolute, so that the folder's name and the manifest do not depend on the working directory.
fn absolute(reference: &ModelRef) -> Result<ModelRef, StoreError> {
    match reference {
        ModelRef::Gguf(path) => {
            let path = match path.canonicalize() {
                Ok(it) => it,
                Err(_) => std::path::absolute(path).map_err(io_error("find", path))?,
            };
            Ok(ModelRef::Gguf(path))
        }
        other => Ok(other.clone()),
    }
}
