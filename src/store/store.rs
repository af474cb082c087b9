//! The models directory: references become folders in it, once, and stay until someone removes them by name.
//!
//! `HOME/models/NAME` is a model, complete with its manifest from the moment it appears: it is made in `HOME/partial/NAME` and
//! renamed. `HOME/locks/NAME` keeps two processes from making the same one. A failed or killed attempt
//! leaves its downloads in `partial` for the next one to go on with. Nothing here serves or loads a model.

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
    /// What `remove` and `verify` take.
    pub name: String,
    pub path: PathBuf,
    /// All its files.
    pub n_bytes: u64,
    /// `None` for a folder that someone put there by hand.
    pub manifest: Option<Manifest>,
}

/// A file that is not what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Missing,
    /// Other bytes than were written.
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
    /// Where models live on this machine: `RUNABOUT_HOME`, or the platform's folder for application data.
    /// `variable` answers for the environment.
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

    /// Creates the directory where it is missing.
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

    /// The folder of a model, fetched and converted if it is not there yet. Blocks; `progress` is called on this thread.
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
        let worth = standing(reference, &folder)?;
        if worth == Standing::Current {
            return ModelFolder::open(&folder);
        }
        let _lock = self.lock(&name)?;
        // Another process may have made it while this one waited.
        let worth = standing(reference, &folder)?;
        if worth == Standing::Current {
            return ModelFolder::open(&folder);
        }
        match self.make(reference, &name, options, &mut Reporter::new(progress)) {
            Ok(()) => {}
            Err(err) if worth == Standing::OldImport => {
                tracing::warn!(model = %reference, %err, "keeping the import of an older version");
            }
            Err(err) => return Err(err),
        }
        ModelFolder::open(&folder)
    }

    /// All models in the directory, by name.
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
            // A manifest that cannot be read must not hide the model from the person who wants to remove it.
            let manifest = Manifest::read(&path).ok().flatten();
            installed.push(Installed { name, path, n_bytes, manifest });
        }
        installed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(installed)
    }

    /// Deletes the model of that name (or reference) and returns how many bytes that freed. Its unfinished downloads go
    /// too. Only a folder directly inside the models directory is ever deleted; a link is unlinked, not followed.
    pub fn remove(&self, name: &str) -> Result<u64, StoreError> {
        let name = self.installed_name(name)?;
        let _lock = self.lock(&name)?;
        let mut n_bytes = 0;
        for path in [self.models().join(&name), self.partial().join(&name)] {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                n_bytes += folder_bytes(&path)?;
                // Out of sight first, so that nobody finds half a model.
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

    /// Hashes every file of a model again and says which differ from the manifest.
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

    /// From what a person typed to a name in the directory.
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

    /// Waits for another process that is making the same model. Held until dropped.
    fn lock(&self, name: &str) -> Result<File, StoreError> {
        let path = self.locks().join(name);
        let file = File::create(&path).map_err(io_error("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                tracing::info!(model = name, "waiting for another process that is fetching the same model");
                file.lock().map_err(io_error("lock", &path))?;
                Ok(file)
            }
            Err(TryLockError::Error(err)) => Err(io_error("lock", &path)(err)),
        }
    }

    /// Makes the model in `partial` and publishes it. The caller holds the lock.
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
                // Half a model is of no use; downloads are, and keep the folder.
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

/// What a folder in the models directory is worth for a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Absent,
    Current,
    /// Converted by another version of this crate; still a model.
    OldImport,
    /// The GGUF file has changed since.
    OtherSource,
}

fn standing(reference: &ModelRef, folder: &Path) -> Result<Standing, StoreError> {
    if !folder.is_dir() {
        return Ok(Standing::Absent);
    }
    // Without a manifest it was put there by hand, and is what its owner says it is.
    let Some(manifest) = Manifest::read(folder)? else { return Ok(Standing::Current) };
    if let (ModelRef::Gguf(path), Source::File { modified_ns, gguf, .. }) = (reference, &manifest.source) {
        match stamp(path) {
            Ok((n_bytes, modified)) if (n_bytes, modified) != (gguf.n_bytes, *modified_ns) => {
                return Ok(Standing::OtherSource);
            }
            // The model outlives the file that it was made of.
            _ => {}
        }
    }
    Ok(match manifest.importer_version {
        Some(version) if version != IMPORTER_VERSION => Standing::OldImport,
        _ => Standing::Current,
    })
}

/// With absolute paths, so that the folder's name and the manifest do not depend on where the process runs.
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
