//! `config.json`, as far as every architecture shares it.
//!
//! Each architecture reads its own fields out of [`ModelConfig::fields`]; what is on disk (optional, with defaults)
//! is resolved there once. Errors name the file and the field.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::LoadError;

/// The file, and the two things that decide who reads the rest of it.
pub(crate) struct ModelConfig {
    pub(crate) path: PathBuf,
    pub(crate) model_type: String,
    fields: Value,
}

impl ModelConfig {
    /// The fields that an architecture declares; null is as good as absent.
    pub(crate) fn fields<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        model_json::fields(&self.fields).map_err(|e| self.unreadable(&e))
    }

    /// The fields of an object of the file, which is said to be at `place`.
    pub(crate) fn fields_of<T: DeserializeOwned>(&self, object: &Value, place: &str) -> Result<T, LoadError> {
        model_json::fields(object).map_err(|mut error| {
            let joint = if error.field.is_empty() { "" } else { "." };
            error.field = format!("{place}{joint}{}", error.field);
            self.unreadable(&error)
        })
    }

    /// A field as it stands in the file; `None` where it is absent or null.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|it| !it.is_null())
    }

    fn unreadable(&self, message: &dyn Display) -> LoadError {
        LoadError::Config { path: self.path.clone(), message: message.to_string() }
    }

    /// A value that this program cannot honour.
    pub(crate) fn unsupported(&self, message: impl Into<String>) -> LoadError {
        LoadError::UnsupportedConfig { path: self.path.clone(), message: message.into() }
    }

    /// A value that no model can have.
    pub(crate) fn impossible(&self, field: &str, expected: &str, got: impl Display) -> LoadError {
        self.unreadable(&format_args!("`{field}` must be {expected}, got {got}"))
    }

    /// What a count must be to be one.
    pub(crate) fn positive(&self, field: &str, value: i32) -> Result<(), LoadError> {
        if value > 0 { Ok(()) } else { Err(self.impossible(field, "at least 1", value)) }
    }

    /// A number above 0 that is one.
    pub(crate) fn finite(&self, field: &str, value: f32) -> Result<f32, LoadError> {
        if value.is_finite() && value > 0.0 {
            Ok(value)
        } else {
            Err(self.impossible(field, "a number above 0", value))
        }
    }
}

pub(crate) fn read(folder: &Path) -> Result<ModelConfig, LoadError> {
    let path = folder.join("config.json");
    let unreadable = |message: String| LoadError::Config { path: path.clone(), message };
    let text = std::fs::read(&path).map_err(|e| unreadable(e.to_string()))?;
    let fields = model_json::parse(&text).map_err(|e| unreadable(e.to_string()))?;
    let Some(model_type) = fields["model_type"].as_str() else {
        return Err(unreadable("`model_type` is missing".to_owned()));
    };
    Ok(ModelConfig { model_type: model_type.to_owned(), path, fields })
}
