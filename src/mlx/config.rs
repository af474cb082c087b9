//! The parts of `config.json` that all architectures share: [`ModelConfig`].
//!
//! Each architecture reads its own fields through [`ModelConfig::fields`] and resolves defaults once. Errors name the
//! file and the field.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use runabout_text::model_json;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::LoadError;

/// The field with the text part of a model that has more senses.
const TEXT_PART: &str = "text_config";

/// A parsed config.json.
pub(crate) struct ModelConfig {
    pub(crate) path: PathBuf,
    pub(crate) model_type: String,
    /// The type of the text part, if the model has more senses than text.
    pub(crate) text_type: Option<String>,
    fields: Value,
}

impl ModelConfig {
    /// Reads the fields that `T` declares. A field that is null counts as absent.
    pub(crate) fn fields<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        model_json::fields(&self.fields).map_err(|e| self.unreadable(&e))
    }

    /// The same for an object inside the file; `path` is where it is, for error messages.
    pub(crate) fn fields_of<T: DeserializeOwned>(&self, object: &Value, path: &str) -> Result<T, LoadError> {
        model_json::fields(object).map_err(|mut error| {
            let joint = if error.field.is_empty() { "" } else { "." };
            error.field = format!("{path}{joint}{}", error.field);
            self.unreadable(&error)
        })
    }

    /// A field as it is in the file; `None` if it is absent or null.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|it| !it.is_null())
    }

    /// The same file with `defaults` in place of the fields that it does not have.
    pub(crate) fn with_defaults(&self, defaults: Value) -> Self {
        let mut fields = self.fields.clone();
        let missing = |name: &str| self.get(name).is_none();
        if let (Value::Object(fields), Value::Object(defaults)) = (&mut fields, defaults) {
            fields.extend(defaults.into_iter().filter(|it| missing(&it.0)));
        }
        Self {
            fields,
            path: self.path.clone(),
            model_type: self.model_type.clone(),
            text_type: self.text_type.clone(),
        }
    }

    fn unreadable(&self, message: &dyn Display) -> LoadError {
        LoadError::Config { path: self.path.clone(), message: message.to_string() }
    }

    /// The error for a valid value that this program does not support.
    pub(crate) fn unsupported(&self, message: impl Into<String>) -> LoadError {
        LoadError::UnsupportedConfig { path: self.path.clone(), message: message.into() }
    }

    /// The error for a value that makes no sense in any model.
    pub(crate) fn impossible(&self, field: &str, expected: &str, got: impl Display) -> LoadError {
        self.unreadable(&format_args!("`{field}` must be {expected}, got {got}"))
    }

    /// Checks that a count is at least 1.
    pub(crate) fn positive(&self, field: &str, value: i32) -> Result<(), LoadError> {
        if value > 0 { Ok(()) } else { Err(self.impossible(field, "at least 1", value)) }
    }

    /// Checks that a number is finite and above 0.
    pub(crate) fn finite(&self, field: &str, value: f32) -> Result<f32, LoadError> {
        if value.is_finite() && value > 0.0 {
            Ok(value)
        } else {
            Err(self.impossible(field, "a number above 0", value))
        }
    }
}

/// Reads config.json. If the model has more senses than text, the fields of its text part take the place of the file's
/// own, and `model_type` remains that of the whole.
pub(crate) fn read(folder: &Path) -> Result<ModelConfig, LoadError> {
    let path = folder.join("config.json");
    let unreadable = |message: String| LoadError::Config { path: path.clone(), message };
    let text = std::fs::read(&path).map_err(|e| unreadable(e.to_string()))?;
    parse(path, &text)
}

/// The same for the text of the file at `path`.
pub(crate) fn parse(path: PathBuf, text: &[u8]) -> Result<ModelConfig, LoadError> {
    let unreadable = |message: String| LoadError::Config { path: path.clone(), message };
    let mut fields = model_json::parse(text).map_err(|e| unreadable(e.to_string()))?;
    let Some(model_type) = fields["model_type"].as_str().map(str::to_owned) else {
        return Err(unreadable("`model_type` is missing".to_owned()));
    };
    let mut text_type = None;
    if let Some(Value::Object(text)) = fields.get_mut(TEXT_PART).map(Value::take) {
        text_type = text.get("model_type").and_then(Value::as_str).map(str::to_owned);
        fields.as_object_mut().into_iter().for_each(|it| it.extend(text.clone()));
    }
    Ok(ModelConfig { path, model_type, text_type, fields })
}
