//! Metadata values of a GGUF file: [`Metadata`], [`Value`].
//!
//! All integer widths are read into one type, because writers disagree about them. The accessors of [`Metadata`] are
//! named after a meaning (`count`, `text`, `flag`); `None` means that the key is absent or has a value of another kind.

use std::collections::HashMap;
use std::fmt;

/// The most characters of a text that a message shows.
const MAX_SHOWN_CHARS: usize = 40;

/// One metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(Vec<Value>),
}

impl Value {
    pub fn as_count(&self) -> Option<usize> {
        match self {
            Self::Unsigned(it) => usize::try_from(*it).ok(),
            Self::Signed(it) => usize::try_from(*it).ok(),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(it) => Some(*it),
            Self::Unsigned(it) => Some(*it as f64),
            Self::Signed(it) => Some(*it as f64),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(it) => Some(it),
            _ => None,
        }
    }
}

/// For error messages, so short enough for a line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(it) => write!(f, "{it}"),
            Self::Signed(it) => write!(f, "{it}"),
            Self::Float(it) => write!(f, "{it}"),
            Self::Bool(it) => write!(f, "{it}"),
            Self::Text(it) if it.chars().nth(MAX_SHOWN_CHARS).is_none() => write!(f, "{it:?}"),
            Self::Text(it) => write!(f, "a text of {} bytes", it.len()),
            Self::Array(it) => write!(f, "a list of {}", it.len()),
        }
    }
}

/// All metadata of a file, by key.
#[derive(Debug, Default)]
pub struct Metadata {
    values: HashMap<String, Value>,
}

impl Metadata {
    /// Returns false if the key exists already.
    pub(super) fn insert(&mut self, key: String, value: Value) -> bool {
        self.values.insert(key, value).is_none()
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub fn count(&self, key: &str) -> Option<usize> {
        self.value(key)?.as_count()
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        self.value(key)?.as_f64()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_text()
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(it) => Some(*it),
            _ => None,
        }
    }

    pub fn array(&self, key: &str) -> Option<&[Value]> {
        match self.value(key)? {
            Value::Array(it) => Some(it),
            _ => None,
        }
    }

    /// All keys with their values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }
}
