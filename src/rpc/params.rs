//! Parameters by name, read strictly: an unknown one is an error that names its nearest neighbour.
//!
//! Any `Deserialize` type will do; what it knows is learnt from its own fields, nested ones too. Names that begin
//! with `x_`, and `_meta`, are the client's own and passed over. A wrong value is named by its path, such as
//! `messages[0].role`. Do not use `#[serde(flatten)]` or untagged enums in such types: serde then hides the fields.

use std::fmt::Display;

use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned, Params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use error::ParamError;
pub(crate) use error::meant;
use node::{Members, Node};

mod error;
mod node;

/// Reads the params of a call. No params, and an empty array, are read as no parameter given.
///
/// The error is -32602 with `data: {field, nearest?}`.
pub fn parse<T: DeserializeOwned>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    let raw = named(params)?;
    T::deserialize(Node::new(raw)).map_err(ParamError::into_error)
}

/// Whether the parameter `name` is given, for methods that take one of several sets.
pub fn has(params: &Params<'_>, name: &str) -> bool {
    let members = named(params).ok().and_then(|raw| serde_json::from_str::<Members<'_>>(raw.get()).ok());
    members.is_some_and(|members| members.0.iter().any(|(key, _)| key == name))
}

/// The error for a parameter that has the right type and a wrong value.
pub fn invalid(field: &str, message: impl Display) -> ErrorObjectOwned {
    #[derive(Serialize)]
    struct Data<'a> {
        field: &'a str,
    }
    ErrorObject::owned(INVALID_PARAMS_CODE, message.to_string(), Some(Data { field }))
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
