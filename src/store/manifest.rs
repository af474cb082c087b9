//! `runabout.json` in a downloaded or imported model folder: where its bytes came from, and the hash of each file.
//!
//! A folder without it was put there by the user. It can be used, but nothing is known about it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{StoreError, io_error};

/// The manifest's file name.
pub(crate) const MANIFEST: &str = "runabout.json";

/// Where a model folder came from, and its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model reference that resolves to this folder.
    pub reference: String,
    pub source: Source,
    /// The importer's version if a GGUF file was converted, see [`crate::IMPORTER_VERSION`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub importer_version: Option<u32>,
    /// Every file of the model, sorted by name.
    pub files: Vec<FileRecord>,
}

/// Where the bytes came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A repository on a Hugging Face hub, at one commit.
    Hub {
        endpoint: String,
        repository: String,
        commit: String,
        /// Set if one GGUF file was downloaded and converted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        gguf: Option<FileRecord>,
    },
    /// A GGUF file in one or more wheels.
    Packages { requirements: Vec<String>, gguf: FileRecord },
    /// A GGUF file on this machine.
    File { path: String, modified_ns: u64, gguf: FileRecord },
}

/// The name, size and hash of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub name: String,
    pub n_bytes: u64,
    pub sha256: String,
}

impl Manifest {
    /// `None` if the folder has none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(MANIFEST);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(io_error("read", &path)(err)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|err| StoreError::BadManifest { path, reason: err.to_string() })
    }

    /// Notes that the model is used now.
    pub(crate) fn touch(folder: &Path) {
        let file = fs::File::options().append(true).open(folder.join(MANIFEST));
        // A model that cannot be written to can still be used.
        let _ = file.and_then(|it| it.set_modified(SystemTime::now()));
    }

    /// When the model was used last; `None` if it has no manifest.
    pub(crate) fn touched(folder: &Path) -> Option<SystemTime> {
        fs::metadata(folder.join(MANIFEST)).ok()?.modified().ok()
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(self)
            .map_err(|err| StoreError::BadManifest { path: path.clone(), reason: err.to_string() })?;
        fs::write(&path, text + "\n").map_err(io_error("write", &path))
    }
}
