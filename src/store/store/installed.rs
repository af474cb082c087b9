//! The models on this machine: [`Installed`].

use std::path::PathBuf;
use std::time::SystemTime;

use super::disk::folder_bytes;
use super::removal::entries;
use super::{Store, absolute};
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::reference::ModelRef;

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The name that every other operation takes.
    pub name: String,
    pub path: PathBuf,
    /// The size of all its files.
    pub n_bytes: u64,
    pub place: Place,
    /// `None` for a folder that the user put there, and for a model of the hub's cache that was never used.
    pub manifest: Option<Manifest>,
    /// The last time that this program or, in the hub's cache, any other read it, as far as the file system tells.
    pub last_used: Option<SystemTime>,
}

/// Where a model is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The models directory.
    Models,
    /// The hub's cache, shared with other programs.
    HubCache,
}

impl Store {
    /// All models in the models directory, then all in the hub's cache, sorted by name.
    pub fn list(&self) -> Result<Vec<Installed>, StoreError> {
        let mut installed = Vec::new();
        for path in entries(&self.models())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.starts_with('.') && path.is_dir() {
                installed.push(in_models(name, path)?);
            }
        }
        installed.sort_by(|a, b| a.name.cmp(&b.name));
        #[cfg(feature = "hub")]
        installed.extend(self.list_cached()?);
        Ok(installed)
    }

    /// The model of that name or reference.
    pub fn installed(&self, name: &str) -> Result<Installed, StoreError> {
        if let Some(name) = self.name_in_models(name) {
            let path = self.models().join(&name);
            if path.is_dir() {
                return in_models(name, path);
            }
        }
        let absent = || StoreError::NotInstalled { name: name.to_owned(), home: self.home.clone() };
        #[cfg(feature = "hub")]
        if let Some(found) = self.installed_in_cache(name) {
            return Ok(found);
        }
        Err(absent())
    }

    /// The name in the models directory, or of unfinished downloads, for what the user typed.
    pub(super) fn name_in_models(&self, text: &str) -> Option<String> {
        let is_there = |name: &str| {
            let is_component = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
            is_component
                && (self.models().join(name).symlink_metadata().is_ok() || self.partial().join(name).exists())
        };
        if is_there(text) {
            return Some(text.to_owned());
        }
        let by_reference = text.parse::<ModelRef>().ok().and_then(|it| absolute(&it).ok()?.folder_name());
        by_reference.filter(|name| is_there(name))
    }
}

fn in_models(name: String, path: PathBuf) -> Result<Installed, StoreError> {
    let n_bytes = folder_bytes(&path)?;
    // A model with an unreadable manifest is listed, so that the user can remove it.
    let manifest = Manifest::read(&path).ok().flatten();
    let last_used = Manifest::touched(&path);
    Ok(Installed { name, path, n_bytes, place: Place::Models, manifest, last_used })
}
