//! `config.json`, as far as every architecture shares it.
//!
//! Each architecture reads its own fields out of [`ModelConfig::fields`]; what is on disk (optional, with defaults)
//! is resolved there once.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::LoadError;

/// The file, and the two things that decide who reads the rest of it.
pub(crate) struct ModelConfig {
    pub(crate) path: PathBuf,
    pub(crate) model_type: String,
    fields: serde_json::Value,
}

impl ModelConfig {
    /// The fields that an architecture declares.
    pub(crate) fn fields<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        serde_json::from_value(self.fields.clone()).map_err(|e| self.unreadable(&e))
    }

    fn unreadable(&self, message: &dyn std::fmt::Display) -> LoadError {
        LoadError::Config { path: self.path.clone(), message: message.to_string() }
    }

    /// A value that this program cannot honour.
    pub(crate) fn unsupported(&self, message: impl Into<String>) -> LoadError {
        LoadError::UnsupportedConfig { path: self.path.clone(), message: message.into() }
    }
}

pub(crate) fn read(folder: &Path) -> Result<ModelConfig, LoadError> {
    let path = folder.join("config.json");
    let unreadable = |message: String| LoadError::Config { path: path.clone(), message };
    let text = std::fs::read(&path).map_err(|e| unreadable(e.to_string()))?;
    let fields: serde_json::Value = serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))?;
    let Some(model_type) = fields["model_type"].as_str() else {
        return Err(unreadable("`model_type` is missing".to_owned()));
    };
    Ok(ModelConfig { model_type: model_type.to_owned(), path, fields })
}
