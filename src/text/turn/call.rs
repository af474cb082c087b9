//! A call as a model wrote it ([`Call`]), and what a text is, read as calls ([`Parsed`]).

use serde_json::{Map, Value};

/// A call as the model wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Some families have the model make up ids.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
}

impl Call {
    pub(super) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }
}

/// What a text is, read as calls.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed {
    /// At least one.
    Calls(Vec<Call>),
    /// The beginning of a call, and what is missing.
    Incomplete(String),
    /// No call, and why.
    Bad(String),
}

impl Parsed {
    pub(super) fn of(calls: Result<Vec<Call>, String>) -> Self {
        match calls {
            Ok(calls) if calls.is_empty() => Self::Bad("there is no call".to_owned()),
            Ok(calls) => Self::Calls(calls),
            Err(reason) => Self::Bad(reason),
        }
    }
}
