//! Reads GGUF files: header, metadata, tensor directory, and tensor bytes on demand.
//!
//! Every number in the file is treated as hostile: counts, lengths and offsets are checked against the file's size
//! before anything is allocated, and a header costs half a gigabyte at most, whatever it claims. Tensor bytes are read with positioned reads instead of a mapping, so a file that
//! shrinks under us is an error and not a signal. This module knows nothing about models.

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

/// An open GGUF file whose header was found sound.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    file: File,
    pub metadata: Metadata,
    /// In the file's order.
    pub tensors: Vec<TensorInfo>,
    /// Where each name is in `tensors`.
    places: HashMap<String, usize>,
}

impl GgufFile {
    /// Reads and checks everything but the tensors' bytes.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // To open a pipe would wait for a writer.
        if !fs::metadata(path).map_err(io_error("open", path))?.is_file() {
            return Err(StoreError::BadGguf {
                path: path.to_owned(),
                reason: "it is no regular file".into(),
            });
        }
        let file = File::open(path).map_err(io_error("open", path))?;
        let n_bytes = file.metadata().map_err(io_error("read", path))?.len();
        let (metadata, tensors) = header::read(&file, n_bytes, path)?;
        let places = tensors.iter().enumerate().map(|(idx, it)| (it.name.clone(), idx)).collect();
        Ok(Self { path: path.to_owned(), file, metadata, tensors, places })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.places.get(name).map(|idx| &self.tensors[*idx])
    }

    /// Fills `bytes` with the tensor's bytes from `offset` on.
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
