//! What a model's weight files contain, according to their headers: names, types and shapes.
//!
//! The weights themselves are not read.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use serde::Deserialize;

use super::adapter::{Adapter, AdapterKind};
use super::header::{Tensor, read_header};
use crate::LoadError;
use crate::config::ModelConfig;

/// The tensors of a model folder, and the files they are in.
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) shards: Vec<PathBuf>,
    pub(crate) n_bytes: u64,
    pub(super) adapter: Option<Adapter>,
    tensors: HashMap<String, Tensor>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Reads the headers of a model's files, and of an adapter's.
    pub(crate) fn open(folder: &Path, adapter: Option<&Path>) -> Result<Self, LoadError> {
        let mut shards = shards(folder)?;
        let mut tensors = HashMap::new();
        let mut n_bytes = 0;
        for path in &shards {
            n_bytes += read_header(path, &mut tensors)?;
        }
        let mut adapter = adapter.map(Adapter::open).transpose()?;
        n_bytes += adapter.as_ref().map_or(0, |it| it.n_bytes);
        if let Some(full) = adapter.take_if(|it| it.kind == AdapterKind::Full) {
            if let Some(name) = full.tensors.keys().find(|it| !tensors.contains_key(*it)) {
                let message = format!("the model has no weight `{name}`");
                return Err(LoadError::Adapter { path: full.path, message });
            }
            tensors.extend(full.tensors);
            // Later files take the place of earlier ones.
            shards.push(full.path);
        }
        Ok(Self { folder: folder.to_owned(), shards, n_bytes, adapter, tensors })
    }

    /// The files with weights, the adapter's among them.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.shards.iter().chain(self.adapter.as_ref().map(|it| &it.path))
    }

    /// No tensors and no files, for weights of this size that are made up.
    pub(crate) fn without_files(n_bytes: u64) -> Self {
        Self { folder: PathBuf::new(), shards: Vec::new(), n_bytes, adapter: None, tensors: HashMap::new() }
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
