//! Reads parameters by name, with errors that name the parameter and what was expected: [`parse`], [`parse_lenient`].
//!
//! [`parse`] is strict: an unknown name is an error that suggests the nearest known one. [`parse_lenient`] ignores
//! unknown names. Any `Deserialize` type can be read; its fields, nested ones too, are the known names. A wrong value
//! is named by its path, such as `messages[0].role`. Types for [`parse`] must not use `#[serde(flatten)]` or untagged
//! enums: serde then hides their fields, and unknown names would go unnoticed.

use std::fmt::Display;

use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use error::ParamError;
pub(crate) use error::meant;
use node::{Members, Node, UnknownNames};

mod error;
mod node;

/// Reads the params of a call strictly. Names that begin with `x_`, and `_meta`, belong to the client and are ignored.
/// A member that is `null` counts as absent, and so does an unknown one within an object. Absent params and an empty
/// array count as no parameters.
///
/// The error is -32602 with `data: {field, nearest?}`.
pub fn parse<T: DeserializeOwned>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    read(params, UnknownNames::Refused)
}

/// Like [`parse`], but ignores unknown names, as LSP, MCP and ACP require. Any type can be read.
///
/// The error is -32602 with `data: {field}`.
pub fn parse_lenient<T: DeserializeOwned>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    read(params, UnknownNames::Ignored)
}

/// Whether the parameter `name` is given, for methods that accept one of several sets of parameters.
pub fn has(params: &Params<'_>, name: &str) -> bool {
    let members = named(params).ok().and_then(|raw| serde_json::from_str::<Members<'_>>(raw.get()).ok());
    members.is_some_and(|members| members.0.iter().any(|(key, _)| key == name))
}

/// The error for a parameter of the right type with a wrong value.
pub fn invalid(field: &str, message: impl Display) -> ErrorObjectOwned {
    #[derive(Serialize)]
    struct Data<'a> {
        field: &'a str,
    }
    ErrorObject::owned(INVALID_PARAMS_CODE, message.to_string(), Some(Data { field }))
}

fn read<T: DeserializeOwned>(
    params: &Params<'_>,
    unknown_names: UnknownNames,
) -> Result<T, ErrorObjectOwned> {
    T::deserialize(Node::new(named(params)?, unknown_names)).map_err(ParamError::into_error)
}

/// The params as an object.
fn named<'a>(params: &'a Params<'_>) -> Result<&'a RawValue, ErrorObjectOwned> {
    let text = params.as_str().unwrap_or("{}");
    let unreadable = |error| ErrorObject::owned(INVALID_PARAMS_CODE, format!("{error}"), None::<()>);
    let raw: &RawValue = serde_json::from_str(text).map_err(unreadable)?;
    if !raw.get().starts_with('[') {
        return Ok(raw);
    }
    let entries: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(unreadable)?;
    if entries.is_empty() {
        return serde_json::from_str("{}").map_err(unreadable);
    }
    let message =
        "`params` must be an object, got an array\nhint: parameters go by name here, not by position";
    Err(ErrorObject::owned(INVALID_PARAMS_CODE, message, None::<()>))
}

#[cfg(test)]
mod tests;
