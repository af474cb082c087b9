//! The models directory: [`Store`].
//!
//! `HOME/models/NAME` is a model. It is made in `HOME/partial/NAME` and renamed, so it is complete, with its manifest,
//! as soon as it exists, and it stays until the user removes it. `HOME/locks/NAME` prevents two processes from making
//! the same model. An attempt that fails or is killed leaves its downloads in `partial`, where the next one continues.
//! Nothing here loads or serves a model.

mod disk;
mod fetch;
mod options;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::digest::sha256_file;
use crate::error::{StoreError, io_error};
use crate::folder::ModelFolder;
use crate::import::IMPORTER_VERSION;
use crate::manifest::{Manifest, Source};
use crate::progress::{Progress, Reporter, Stage};
use crate::reference::ModelRef;

use disk::{clear, folder_bytes, stamp, sync_folder};

pub use options::Options;

/// A model in the models directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The name that `remove` and `verify` take.
    pub name: String,
    pub path: PathBuf,
    /// The size of all its files.
    pub n_bytes: u64,
    /// `None` for a folder that the user put there.
    pub manifest: Option<Manifest>,
}

/// A file that differs from the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Missing,
    /// The file has other bytes than the manifest says.
    Changed {
        expected: String,
        got: String,
    },
}

/// The models directory.
#[derive(Clone, Debug)]
pub struct Store {
    home: PathBuf,
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

    /// Creates the directory if it is missing.
    pub fn open(home: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let this = Self { home: home.into() };
        for folder in [this.models(), this.locks(), this.partial()] {
            fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        }
        Ok(this)
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
        let folder = self.models().join(&name);
        let state = folder_state(reference, &folder)?;
        if state == FolderState::Current {
            return ModelFolder::open(&folder);
        }
        let _lock = self.lock(&name)?;
        // Another process may have made it in the meantime.
        let state = folder_state(reference, &folder)?;
        if state == FolderState::Current {
            return ModelFolder::open(&folder);
        }
        match self.make(reference, &name, options, &mut Reporter::new(progress)) {
            Ok(()) => {}
            Err(err) if state == FolderState::OldImport => {
                tracing::warn!(model = %reference, %err, "the model cannot be imported again; using the import of an older version");
            }
            Err(err) => return Err(err),
        }
        ModelFolder::open(&folder)
    }

    /// All models in the directory, sorted by name.
    pub fn list(&self) -> Result<Vec<Installed>, StoreError> {
        let models = self.models();
        let mut installed = Vec::new();
        for entry in fs::read_dir(&models).map_err(io_error("read", &models))? {
            let entry = entry.map_err(io_error("read", &models))?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            if name.starts_with('.') || !path.is_dir() {
                continue;
            }
            let n_bytes = folder_bytes(&path)?;
            // A model with an unreadable manifest is listed, so that the user can remove it.
            let manifest = Manifest::read(&path).ok().flatten();
            installed.push(Installed { name, path, n_bytes, manifest });
        }
        installed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(installed)
    }

    /// Deletes the model of that name (or reference) with its unfinished downloads, and returns the number of bytes
    /// freed. Only a folder directly inside the models directory is ever deleted; a symbolic link is unlinked, not
    /// followed.
    pub fn remove(&self, name: &str) -> Result<u64, StoreError> {
        let name = self.installed_name(name)?;
        let _lock = self.lock(&name)?;
        let mut n_bytes = 0;
        for path in [self.models().join(&name), self.partial().join(&name)] {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                n_bytes += folder_bytes(&path)?;
                // Renamed first, so that no process finds an incomplete model.
                let doomed = self.partial().join(format!(".removed-{name}"));
                clear(&doomed)?;
                fs::rename(&path, &doomed).map_err(io_error("remove", &path))?;
                clear(&doomed)?;
            } else {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(n_bytes)
    }

    /// Hashes every file of a model and returns those that differ from the manifest.
    pub fn verify(&self, name: &str, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Fault>, StoreError> {
        let folder = self.models().join(self.installed_name(name)?);
        let manifest = Manifest::read(&folder)?.ok_or(StoreError::NoManifest { folder: folder.clone() })?;
        let total = manifest.files.iter().map(|it| it.n_bytes).sum();
        let mut reporter = Reporter::new(progress);
        let (mut before, mut faults) = (0, Vec::new());
        for record in &manifest.files {
            let path = folder.join(&record.name);
            if path.is_file() {
                let (got, _) = sha256_file(&path, &mut |done| {
                    reporter.report(Stage::Verify, before + done, Some(total));
                })?;
                if got != record.sha256 {
                    let kind = FaultKind::Changed { expected: record.sha256.clone(), got };
                    faults.push(Fault { file: record.name.clone(), kind });
                }
            } else {
                faults.push(Fault { file: record.name.clone(), kind: FaultKind::Missing });
            }
            before += record.n_bytes;
        }
        Ok(faults)
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

    /// The name in the models directory for what the user typed.
    fn installed_name(&self, text: &str) -> Result<String, StoreError> {
        let is_there = |name: &str| {
            let is_component = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
            is_component
                && (self.models().join(name).symlink_metadata().is_ok() || self.partial().join(name).exists())
        };
        if is_there(text) {
            return Ok(text.to_owned());
        }
        let by_reference = text.parse::<ModelRef>().ok().and_then(|it| absolute(&it).ok()?.folder_name());
        by_reference
            .filter(|name| is_there(name))
            .ok_or_else(|| StoreError::NotInstalled { name: text.to_owned(), home: self.home.clone() })
    }

    /// Waits for any other process that is making the same model. The lock is held until the file is dropped.
    fn lock(&self, name: &str) -> Result<File, StoreError> {
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

    /// Makes the model in `partial` and publishes it. The caller must hold the lock.
    fn make(
        &self,
        reference: &ModelRef,
        name: &str,
        options: &Options,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StoreError> {
        let partial = self.partial().join(name);
        let made = partial.join("model");
        clear(&made)?;
        fs::create_dir_all(&made).map_err(io_error("create", &made))?;
        let manifest = match fetch::fetch(reference, options, &partial, &made, reporter) {
            Ok(it) => it,
            Err(err) => {
                // An incomplete model is useless; the downloads stay.
                clear(&made)?;
                let _ = fs::remove_dir(&partial);
                return Err(err);
            }
        };
        manifest.write(&made)?;
        ModelFolder::open(&made)?;
        sync_folder(&made)?;

        let folder = self.models().join(name);
        let replaced = partial.join("replaced");
        clear(&replaced)?;
        if folder.exists() {
            fs::rename(&folder, &replaced).map_err(io_error("replace", &folder))?;
        }
        fs::rename(&made, &folder).map_err(io_error("create", &folder))?;
        sync_folder(&self.models())?;
        clear(&partial)
    }
}

/// Whether a folder in the models directory can be used for a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FolderState {
    Absent,
    Current,
    /// Converted by another version of this crate, but usable.
    OldImport,
    /// The GGUF file has changed since the import.
    OtherSource,
}

fn folder_state(reference: &ModelRef, folder: &Path) -> Result<FolderState, StoreError> {
    if !folder.is_dir() {
        return Ok(FolderState::Absent);
    }
    // A folder without a manifest was put there by the user, and is used as it is.
    let Some(manifest) = Manifest::read(folder)? else { return Ok(FolderState::Current) };
    if let (ModelRef::Gguf(path), Source::File { modified_ns, gguf, .. }) = (reference, &manifest.source) {
        match stamp(path) {
            Ok((n_bytes, modified)) if (n_bytes, modified) != (gguf.n_bytes, *modified_ns) => {
                return Ok(FolderState::OtherSource);
            }
            // A model stays even if the GGUF file that it was made from is gone.
            _ => {}
        }
    }
    Ok(match manifest.importer_version {
        Some(version) if version != IMPORTER_VERSION => FolderState::OldImport,
        _ => FolderState::Current,
    })
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
