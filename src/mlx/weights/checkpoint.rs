//! What a model's weight files contain, according to their headers: names, types and shapes.
//!
//! The weights themselves are not read.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use safetensors::tensor::{Dtype, Metadata};
use serde::Deserialize;

use crate::LoadError;
use crate::config::ModelConfig;

/// safetensors' own limit for a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors of a model folder, and the files they are in.
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) shards: Vec<PathBuf>,
    pub(crate) n_bytes: u64,
    tensors: HashMap<String, Tensor>,
}

/// A weight as the header describes it.
pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<i32>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadError> {
        let shards = shards(folder)?;
        let mut tensors = HashMap::new();
        let mut n_bytes = 0;
        for path in &shards {
            n_bytes += read_header(path, &mut tensors)?;
        }
        Ok(Self { folder: folder.to_owned(), shards, n_bytes, tensors })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensors that belong to the module `name`, such as its weight, scales and bias.
    pub(crate) fn of_module<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let rest = move |it: &str| it.strip_prefix(name).is_some_and(|it| it.starts_with(['.', '_']));
        self.tensors.iter().map(|(name, it)| (name.as_str(), it)).filter(move |it| rest(it.0))
    }

    /// Whether the output matrix is the embedding: `said` by config.json, and if absent, true unless the checkpoint
    /// has an output matrix. (mlx_lm assumes true, transformers false.)
    pub(crate) fn is_tied(&self, file: &ModelConfig, said: Option<bool>) -> Result<bool, LoadError> {
        let has_head = self.of_module("lm_head").next().is_some();
        match said {
            Some(false) if !has_head => Err(LoadError::NoHead { path: file.path.clone() }),
            Some(said) => Ok(said),
            None => Ok(!has_head),
        }
    }
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
fn read_header(path: &Path, tensors: &mut HashMap<String, Tensor>) -> Result<u64, LoadError> {
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
    let expected = 8 + n_header + metadata.data_len() as u64;
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

/// The files that hold the weights, in a fixed order.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let index_path = folder.join("model.safetensors.index.json");
    if index_path.exists() {
        let unreadable = |message: String| LoadError::Config { path: index_path.clone(), message };
        let text = std::fs::read(&index_path).map_err(|e| unreadable(e.to_string()))?;
        let index = model_json::parse(&text).map_err(|e| unreadable(e.to_string()))?;
        let index: ShardIndex = model_json::fields(&index).map_err(|e| unreadable(e.to_string()))?;
        let names: BTreeSet<_> = index.weight_map.into_values().collect();
        return Ok(names.into_iter().map(|name| folder.join(name)).collect());
    }
    let single = folder.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    Err(LoadError::NoWeights { folder: folder.to_owned() })
}
