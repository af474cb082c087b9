//! Writes the small files of a model folder: [`write_json`].

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::digest::sha256_bytes;
use crate::error::{StoreError, io_error};
use crate::manifest::FileRecord;

/// Writes `value` to the file `name` in `folder` and returns its record for the manifest.
pub(super) fn write_json(folder: &Path, name: &str, value: &Value) -> Result<FileRecord, StoreError> {
    // The file with the vocabulary is not indented: that would double its size.
    let text = if name == "tokenizer.json" { value.to_string() } else { format!("{value:#}\n") };
    let path = folder.join(name);
    fs::write(&path, &text).map_err(io_error("write", &path))?;
    Ok(FileRecord {
        name: name.to_owned(),
        n_bytes: text.len() as u64,
        sha256: sha256_bytes(text.as_bytes()),
    })
}
