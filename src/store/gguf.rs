//! Reads GGUF files: header, metadata, tensor directory, and tensor bytes on request. Start at [`GgufFile`].
//!
//! No number in the file is trusted: counts, lengths and offsets are checked against the file's size before anything is
//! allocated, and a header takes at most half a gigabyte of memory. Tensor bytes are read with positioned reads, not
//! through a memory map, so if the file shrinks meanwhile, that is an error and not a signal. This module knows nothing
//! about models.

mod header;
#[cfg(test)]
pub(crate) mod sample;
mod tensor;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use tensor::{GgmlType, TensorInfo};
pub use value::{Metadata, Value};

use crate::error::{StoreError, io_error};

/// An open GGUF file with a valid header.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    file: File,
    pub metadata: Metadata,
    /// In the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// The index of each name in `tensors`.
    indices: HashMap<String, usize>,
}

impl GgufFile {
    /// Reads and checks everything except the tensors' bytes.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // Opening a pipe would block until it has a writer.
        if !fs::metadata(path).map_err(io_error("open", path))?.is_file() {
            return Err(StoreError::BadGguf {
                path: path.to_owned(),
                reason: "it is not a regular file".into(),
            });
        }
        let file = File::open(path).map_err(io_error("open", path))?;
        let n_bytes = file.metadata().map_err(io_error("read", path))?.len();
        let (metadata, tensors) = header::read(&file, n_bytes, path)?;
        let indices = tensors.iter().enumerate().map(|(idx, it)| (it.name.clone(), idx)).collect();
        Ok(Self { path: path.to_owned(), file, metadata, tensors, indices })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.indices.get(name).map(|idx| &self.tensors[*idx])
    }

    /// Fills `bytes` with the tensor's bytes, starting at `offset` within the tensor.
    pub fn read(&self, tensor: &TensorInfo, offset: usize, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, tensor.offset + offset as u64).map_err(io_error("read", &self.path))
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> StoreError {
        StoreError::BadGguf { path: self.path.clone(), reason: reason.into() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>, hint: &'static str) -> StoreError {
        StoreError::UnsupportedGguf { path: self.path.clone(), what: what.into(), hint }
    }
}
