//! A model folder on disk, checked quickly: [`ModelFolder::open`] names missing and incomplete files before MLX reads
//! any.
//!
//! The check reads config.json, the index and the header of each safetensors file, but not the weights, so it takes
//! milliseconds. [`crate::Store::verify`] checks the hashes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use safetensors::tensor::Metadata;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::{StoreError, io_error};

/// The limit of the safetensors format for a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const INDEX: &str = "model.safetensors.index.json";

/// A folder that has all parts of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    pub path: PathBuf,
    /// The name in the models directory or on the hub, or else the folder's own name; for messages and logs.
    pub name: String,
    /// The size of all safetensors files together.
    pub weight_bytes: u64,
}

impl ModelFolder {
    /// Opens `path` if it has all parts of a model: a configuration that parses, a tokenizer, and every weight file,
    /// each with a valid header.
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
        Ok(Self { name: name_of(&absolute), path: absolute, weight_bytes })
    }
}

/// A snapshot in the hub's cache is called after its repository, since its own name is a commit.
fn name_of(path: &Path) -> String {
    #[cfg(feature = "hub")]
    if let Some((repository, _)) = crate::cache::snapshot_of(path) {
        return repository;
    }
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
    #[derive(Deserialize)]
    struct Fields {
        model: Option<IgnoredAny>,
    }
    let path = folder.join("tokenizer.json");
    let bytes =
        read_file(&path)?.ok_or_else(|| StoreError::MissingTokenizer { folder: folder.to_owned() })?;
    // The file has megabytes of tokens, which count for nothing here. JSON as Python writes it is read whole.
    let has_model = match serde_json::from_slice::<Fields>(&bytes) {
        Ok(fields) => fields.model.is_some(),
        Err(_) => match model_json::parse(&bytes) {
            Ok(value) => value.get("model").is_some(),
            Err(err) => return Err(StoreError::BadTokenizer { path, reason: err.to_string() }),
        },
    };
    if !has_model {
        return Err(StoreError::BadTokenizer { path, reason: "it has no `model`".into() });
    }
    Ok(())
}

/// The files that the index names, or all safetensors files if there is no index.
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
    // Without an index, the names (`-of-00003`) tell how many files there must be.
    if let Some(shard) = files.iter().find_map(|it| missing_sibling(it, &files)) {
        return Err(StoreError::MissingShard { folder: folder.to_owned(), shard });
    }
    Ok(files)
}

/// The name of a missing file, if `name` is one of several, such as `stem-00002-of-00003.safetensors`.
fn missing_sibling(name: &str, files: &BTreeSet<String>) -> Option<String> {
    let (rest, n) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, _) = rest.rsplit_once('-')?;
    let n_shards: u32 = n.parse().ok().filter(|it| *it <= 10_000)?;
    (1..=n_shards).map(|idx| format!("{stem}-{idx:05}-of-{n}.safetensors")).find(|it| !files.contains(it))
}

/// The size of the file. Its header must be valid, and its offsets in order, without gaps or overlaps, up to the file's
/// end.
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
    // Checks the order of the offsets, gaps and overlaps, and that each shape matches its number of bytes.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|err| bad(err.to_string()))?;
    let expected = (8 + header_bytes).saturating_add(metadata.data_len() as u64);
    if expected != n_bytes {
        return Err(bad(format!("expected {expected} bytes by its header, got {n_bytes}")));
    }
    Ok(n_bytes)
}

/// `None` if there is no such file.
fn read_json(
    path: &Path,
    bad: impl FnOnce(PathBuf, String) -> StoreError,
) -> Result<Option<Value>, StoreError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    model_json::parse(&bytes).map(Some).map_err(|err| bad(path.to_owned(), err.to_string()))
}

/// `None` if there is no such file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(io_error("read", path)(err)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    fn weights(name: &str) -> Vec<u8> {
        let view = TensorView::new(Dtype::F32, vec![2, 2], &[0; 16]).unwrap();
        safetensors::serialize([(name, view)], None).unwrap()
    }

    /// A valid folder with two shards.
    fn complete() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("config.json", br#"{"model_type": "llama"}"#);
        write("tokenizer.json", br#"{"model": {}}"#);
        write("model-00001-of-00002.safetensors", &weights("a"));
        write("model-00002-of-00002.safetensors", &weights("b"));
        write(
            INDEX,
            br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#,
        );
        dir
    }

    #[test]
    fn a_complete_folder_opens_with_and_without_an_index() {
        let dir = complete();
        let folder = ModelFolder::open(dir.path()).unwrap();
        assert_eq!(folder.weight_bytes, 2 * weights("a").len() as u64);
        fs::remove_file(dir.path().join(INDEX)).unwrap();
        assert_eq!(ModelFolder::open(dir.path()).unwrap(), folder);
    }

    #[test]
    fn json_as_python_writes_it_is_read() {
        for (file, text) in [
            ("config.json", r#"{"model_type": "llama", "rope_scaling": null, "limit": Infinity, "x": NaN}"#),
            ("tokenizer.json", r#"{"model": {}, "truncation": null, "max": -Infinity}"#),
            (
                INDEX,
                r#"{"metadata": {"total_size": 1.5e9}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}"#,
            ),
            (
                INDEX,
                r#"{"metadata": {"total_size": NaN}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}"#,
            ),
            (INDEX, r#"{"metadata": null, "weight_map": {"a": "model-00001-of-00002.safetensors"}}"#),
            (INDEX, r#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#),
        ] {
            let dir = complete();
            fs::write(dir.path().join(file), text).unwrap();
            ModelFolder::open(dir.path()).unwrap_or_else(|err| panic!("{text}: {err}"));
        }
        assert!(matches!(spoilt(INDEX, Some(br#"{"weight_map": null}"#)), StoreError::BadIndex { .. }));
        assert!(matches!(
            spoilt(INDEX, Some(br#"{"weight_map": {"a": null}}"#)),
            StoreError::BadIndex { .. }
        ));
    }

    /// Opens a complete folder after one file was replaced or removed, and returns the error.
    fn spoilt(file: &str, bytes: Option<&[u8]>) -> StoreError {
        let dir = complete();
        match bytes {
            Some(bytes) => fs::write(dir.path().join(file), bytes).unwrap(),
            None => fs::remove_file(dir.path().join(file)).unwrap(),
        }
        let err = ModelFolder::open(dir.path()).unwrap_err();
        let text = err.to_string();
        assert!(text.contains(&dir.path().display().to_string()) && text.contains("\nhint: "), "{text}");
        err
    }

    #[test]
    fn each_missing_part_has_its_own_error() {
        assert!(matches!(spoilt("config.json", None), StoreError::MissingConfig { .. }));
        assert!(matches!(spoilt("config.json", Some(b"{")), StoreError::BadConfig { .. }));
        assert!(matches!(spoilt("config.json", Some(b"{}")), StoreError::BadConfig { .. }));
        assert!(matches!(spoilt("tokenizer.json", None), StoreError::MissingTokenizer { .. }));
        assert!(matches!(spoilt("tokenizer.json", Some(b"[]")), StoreError::BadTokenizer { .. }));
        assert!(matches!(spoilt(INDEX, Some(b"{}")), StoreError::BadIndex { .. }));
        assert!(matches!(
            spoilt(INDEX, Some(br#"{"weight_map": {"a": "../../x.safetensors"}}"#)),
            StoreError::BadIndex { .. }
        ));
        let second = "model-00002-of-00002.safetensors";
        assert!(matches!(spoilt(second, None), StoreError::MissingShard { shard, .. } if shard == second));
        assert!(matches!(ModelFolder::open(Path::new("/nowhere")), Err(StoreError::NoSuchPath { .. })));
    }

    #[test]
    fn without_an_index_the_names_of_the_shards_show_which_one_is_missing() {
        let dir = complete();
        fs::remove_file(dir.path().join(INDEX)).unwrap();
        fs::remove_file(dir.path().join("model-00001-of-00002.safetensors")).unwrap();
        let err = ModelFolder::open(dir.path()).unwrap_err();
        assert!(
            matches!(&err, StoreError::MissingShard { shard, .. } if shard == "model-00001-of-00002.safetensors"),
            "{err}"
        );
        fs::remove_file(dir.path().join("model-00002-of-00002.safetensors")).unwrap();
        assert!(matches!(ModelFolder::open(dir.path()), Err(StoreError::MissingWeights { .. })));
    }

    #[test]
    fn a_broken_safetensors_header_is_found() {
        let good = weights("a");
        let with_header = |header: &str| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 16]);
            bytes
        };
        // A single tensor has an eighth of that at most.
        let n = u64::MAX / 8;
        let mut ends: Vec<u64> = (0..=8).map(|it| it * n).collect();
        ends.push(u64::MAX);
        let tensors = ends.windows(2).enumerate().map(|(i, it)| {
            let n_bytes = it[1] - it[0];
            format!(r#""{i}":{{"dtype":"U8","shape":[{n_bytes}],"data_offsets":{it:?}}}"#)
        });
        let endless = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
        let mut long = good.clone();
        long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        for (bytes, what) in [
            (b"abc".to_vec(), "too few bytes for a header"),
            (long, "a header that is longer than the file"),
            (good[..good.len() - 1].to_vec(), "a missing byte at the end"),
            ([good.as_slice(), &[0]].concat(), "an extra byte at the end"),
            (with_header("{not json"), "a header that is not JSON"),
            (
                with_header(r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,12]}}"#),
                "a shape that does not match the number of bytes",
            ),
            (with_header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#), "a gap"),
            (with_header(&endless), "as many bytes as a number can count"),
            (
                with_header(
                    r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}"#,
                ),
                "an overlap",
            ),
        ] {
            let err = spoilt("model-00001-of-00002.safetensors", Some(&bytes));
            assert!(matches!(err, StoreError::BadSafetensors { .. }), "{what}: {err}");
        }
    }
}
