//! A model folder on disk, checked cheaply: what is missing or cut short is found here, by name, before MLX sees it.
//!
//! The check reads config.json, the index and the header of each safetensors file, not the weights; it takes
//! milliseconds. Whether the hashes still hold is [`crate::Store::verify`]'s question.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use serde_json::Value;

use crate::error::{StoreError, io_error};

/// safetensors' own limit for a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const INDEX: &str = "model.safetensors.index.json";

/// A folder that has all its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    pub path: PathBuf,
    /// For people and logs: the name in the models directory, or the folder's own.
    pub name: String,
    /// Of all safetensors files together.
    pub weight_bytes: u64,
}

impl ModelFolder {
    /// Checks that `path` is a model folder with all its parts: a configuration that parses, a tokenizer, and every
    /// weight file that is named, with a sound header.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_dir() {
            return Err(StoreError::NoSuchPath { path: path.to_owned() });
        }
        check_config(path)?;
        check_tokenizer(path)?;
        let mut weight_bytes = 0;
        for file in weight_files(path)? {
            weight_bytes += check_safetensors(&path.join(file))?;
        }
        let absolute = path.canonicalize().map_err(io_error("read", path))?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path: absolute, name, weight_bytes })
    }
}

fn check_config(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("config.json");
    let Some(config) = read_json(&path, |path, reason| StoreError::BadConfig { path, reason })? else {
        return Err(StoreError::MissingConfig { folder: folder.to_owned() });
    };
    if config.get("model_type").and_then(Value::as_str).is_none() {
        return Err(StoreError::BadConfig { path, reason: "it names no `model_type`".into() });
    }
    Ok(())
}

fn check_tokenizer(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("tokenizer.json");
    let Some(tokenizer) = read_json(&path, |path, reason| StoreError::BadTokenizer { path, reason })? else {
        return Err(StoreError::MissingTokenizer { folder: folder.to_owned() });
    };
    if tokenizer.get("model").is_none() {
        return Err(StoreError::BadTokenizer { path, reason: "it has no `model`".into() });
    }
    Ok(())
}

/// The files that the index names, or all safetensors files where there is no index.
fn weight_files(folder: &Path) -> Result<BTreeSet<String>, StoreError> {
    let path = folder.join(INDEX);
    if let Some(index) = read_json(&path, |path, reason| StoreError::BadIndex { path, reason })? {
        let bad = |reason: &str| StoreError::BadIndex { path: path.clone(), reason: reason.to_owned() };
        let map = index.get("weight_map").and_then(Value::as_object);
        let map = map.filter(|it| !it.is_empty()).ok_or_else(|| bad("it has no `weight_map`"))?;
        let mut files = BTreeSet::new();
        for file in map.values() {
            let file =
                file.as_str().ok_or_else(|| bad("its `weight_map` maps to something other than names"))?;
            if file.contains(['/', '\\']) || file.starts_with('.') {
                return Err(bad("its `weight_map` leads out of the folder"));
            }
            files.insert(file.to_owned());
        }
        if let Some(shard) = files.iter().find(|it| !folder.join(it).is_file()) {
            return Err(StoreError::MissingShard { folder: folder.to_owned(), shard: shard.clone() });
        }
        return Ok(files);
    }
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let name = entry.map_err(io_error("read", folder))?.file_name();
        if let Some(name) = name.to_str().filter(|it| it.ends_with(".safetensors") && !it.starts_with('.')) {
            files.insert(name.to_owned());
        }
    }
    if files.is_empty() {
        return Err(StoreError::MissingWeights { folder: folder.to_owned() });
    }
    // Without an index the names themselves say how many there must be.
    if let Some(shard) = files.iter().find_map(|it| missing_sibling(it, &files)) {
        return Err(StoreError::MissingShard { folder: folder.to_owned(), shard });
    }
    Ok(files)
}

/// For `stem-00002-of-00003.safetensors`: a file of the three that is not there.
fn missing_sibling(name: &str, files: &BTreeSet<String>) -> Option<String> {
    let (rest, n) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, _) = rest.rsplit_once('-')?;
    let n_shards: u32 = n.parse().ok().filter(|it| *it <= 10_000)?;
    (1..=n_shards).map(|idx| format!("{stem}-{idx:05}-of-{n}.safetensors")).find(|it| !files.contains(it))
}

/// Size of the file, if its header is sound and fits: offsets in order, without gaps or overlap, to the file's end.
fn check_safetensors(path: &Path) -> Result<u64, StoreError> {
    let bad = |reason: String| StoreError::BadSafetensors { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let n_bytes = file.metadata().map_err(io_error("read", path))?.len();
    let mut length = [0; 8];
    if n_bytes < 8 {
        return Err(bad(format!("it has {n_bytes} bytes, too few for a header")));
    }
    file.read_exact(&mut length).map_err(io_error("read", path))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || header_bytes > n_bytes - 8 {
        return Err(bad(format!("its header claims {header_bytes} bytes, and the file has {n_bytes}")));
    }
    let mut header = Vec::new();
    file.take(header_bytes).read_to_end(&mut header).map_err(io_error("read", path))?;
    // Checks order, gaps, overlaps and that each shape fills its extent.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|err| bad(err.to_string()))?;
    let expected = 8 + header_bytes + metadata.data_len() as u64;
    if expected != n_bytes {
        return Err(bad(format!("expected {expected} bytes by its header, got {n_bytes}")));
    }
    Ok(n_bytes)
}

/// `None` where there is no such file.
fn read_json(
    path: &Path,
    bad: impl FnOnce(PathBuf, String) -> StoreError,
) -> Result<Option<Value>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|err| bad(path.to_owned(), err.to_string()))
        }
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(io_error("read", path)(err)),
    }
}
