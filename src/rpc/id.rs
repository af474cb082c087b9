//! The id of a client's request, kept as the client wrote it.
//!
//! JSON-RPC allows any string and any number, and clients compare ids in their own way. So an id stays raw JSON text:
//! `0`, `1.5`, `1e2`, `18446744073709551616` and `"\u0061"` are returned as written.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The id of a client's request. Strings are equal if they mean the same text, numbers if they are written the same
/// way.
#[derive(Clone)]
pub struct RequestId {
    raw: Arc<RawValue>,
    /// The string in its shortest spelling, for comparisons; `None` if `raw` already has that spelling.
    canonical: Option<Arc<str>>,
}

impl RequestId {
    /// `None` unless `raw` is a string or a number.
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        let canonical = match text.as_bytes().first()? {
            b'"' if text.contains('\\') => {
                // Fails for escapes that are not text, such as half of a surrogate pair.
                let meant: String = serde_json::from_str(text).ok()?;
                let canonical = serde_json::to_string(&meant).ok()?;
                (canonical != text).then(|| canonical.into())
            }
            b'"' | b'-' | b'0'..=b'9' => None,
            _ => return None,
        };
        Some(Self { raw: raw.to_owned().into(), canonical })
    }

    /// The id as the client wrote it.
    pub fn as_raw(&self) -> &RawValue {
        &self.raw
    }

    fn canonical(&self) -> &str {
        self.canonical.as_deref().unwrap_or(self.raw.get())
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical().hash(state);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw.get())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(text: &str) -> Option<RequestId> {
        RequestId::from_raw(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_id_returns_as_it_was_written() {
        for text in ["0", "-1", "1.5", "1e2", "18446744073709551616", r#""x""#, r#""\u0061\/""#, r#""""#] {
            assert_eq!(serde_json::to_string(&id(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn only_strings_and_numbers_are_ids() {
        for text in ["null", "true", "[1]", "{}", r#""\ud800""#] {
            assert!(id(text).is_none(), "{text}");
        }
    }

    #[test]
    fn strings_are_equal_when_they_mean_the_same() {
        assert_eq!(id(r#""\u0061""#), id(r#""a""#));
        assert_eq!(id(r#""\u00e9\/""#), id(r#""é/""#));
        assert_ne!(id("1"), id(r#""1""#));
        assert_ne!(id("1"), id("2"));
    }
}
