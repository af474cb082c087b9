//! What the header of a safetensors file says about its tensors: [`Tensor`], read by [`read_header`].
//!
//! The weights themselves are not read.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata};

use crate::LoadError;

/// safetensors' own limit for a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// A weight as the header describes it.
pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<i32>,
}

impl Tensor {
    pub(crate) fn check_shape(&self, name: &str, expected: &[i32]) -> Result<(), LoadError> {
        if self.shape == expected {
            return Ok(());
        }
        Err(LoadError::WrongShape {
            name: name.to_owned(),
            expected: expected.to_vec(),
            got: self.shape.clone(),
        })
    }

    pub(crate) fn wrong_type(&self, name: &str, expected: &'static str) -> LoadError {
        LoadError::WrongType { name: name.to_owned(), expected, got: format!("{:?}", self.dtype) }
    }
}

/// The name of a weight in a model that is nothing but its text part.
///
/// Models with more senses keep their text part under a name of its own, in one of two orders.
pub(crate) fn text_name(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("model.language_model.") {
        return format!("model.{rest}");
    }
    name.strip_prefix("language_model.").unwrap_or(name).to_owned()
}

/// Reads the tensors of one file and returns its size. Fails unless the file is as long as its header says.
pub(super) fn read_header(path: &Path, tensors: &mut HashMap<String, Tensor>) -> Result<u64, LoadError> {
    let bad = |message: String| LoadError::Weights { path: path.to_owned(), message };
    let mut file = File::open(path).map_err(|_| LoadError::MissingShard { path: path.to_owned() })?;
    let n_bytes = file.metadata().map_err(|e| bad(e.to_string()))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|e| bad(e.to_string()))?;
    let n_header = u64::from_le_bytes(length);
    if n_header > MAX_HEADER_BYTES.min(n_bytes) {
        return Err(bad(format!("its header claims {n_header} bytes, and the file has {n_bytes}")));
    }
    let mut header = Vec::new();
    file.take(n_header).read_to_end(&mut header).map_err(|e| bad(e.to_string()))?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| bad(e.to_string()))?;
    let expected = (8 + n_header).saturating_add(metadata.data_len() as u64);
    if expected != n_bytes {
        return Err(bad(format!("expected {expected} bytes by its header, got {n_bytes}")));
    }
    for (name, info) in metadata.tensors() {
        let shape = info.shape.iter().map(|it| i32::try_from(*it)).collect::<Result<_, _>>();
        let shape = shape
            .map_err(|_| bad(format!("`{name}` has the shape {:?}, beyond what MLX counts", info.shape)))?;
        tensors.insert(text_name(&name), Tensor { dtype: info.dtype, shape });
    }
    Ok(n_bytes)
}
