//! Reads GGUF files: header, metadata, tensor directory, and tensor bytes on demand.
//!
//! Every number in the file is treated as hostile: counts, lengths and offsets are checked against the file's size
//! before anything is allocated, and a header costs half a gigabyte at most, whatever it claims. Tensor bytes are read with positioned reads instead of a mapping, so a file that
//! shrinks under us is an error and not a signal. This module knows nothing about models.

mod header;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use value::{Metadata, Value};

use crate::error::{StoreError, io_error};

/// How a tensor's numbers are stored. Block layouts are those of ggml's `ggml-common.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GgmlType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl GgmlType {
    /// From the number in a tensor's directory entry; the error is the type's name, if it has a known one.
    fn from_code(code: u32) -> Result<Self, String> {
        Ok(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            other => {
                let name = match other {
                    9 => "Q8_1",
                    10 => "Q2_K",
                    11 => "Q3_K",
                    15 => "Q8_K",
                    16 => "IQ2_XXS",
                    17 => "IQ2_XS",
                    18 => "IQ3_XXS",
                    19 => "IQ1_S",
                    20 => "IQ4_NL",
                    21 => "IQ3_S",
                    22 => "IQ2_S",
                    23 => "IQ4_XS",
                    29 => "IQ1_M",
                    34 => "TQ1_0",
                    35 => "TQ2_0",
                    39 => "MXFP4",
                    _ => return Err(format!("number {other}")),
                };
                return Err(format!("`{name}`"));
            }
        })
    }

    /// Weights in one block.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }
}

/// One entry of the tensor directory.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    pub name: String,
    pub ggml_type: GgmlType,
    /// Weights in a row (ggml's first dimension); a whole number of blocks.
    pub n_columns: usize,
    /// All other dimensions multiplied: 1 for a vector.
    pub n_rows: usize,
    /// How many dimensions the file states, 1 to 4.
    pub n_dims: usize,
    /// From the file's start.
    offset: u64,
}

impl TensorInfo {
    pub fn row_bytes(&self) -> usize {
        self.n_columns / self.ggml_type.block_len() * self.ggml_type.block_bytes()
    }
}

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
