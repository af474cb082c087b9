//! Reads a GGUF file's metadata keys and checks their kind and range.
//!
//! If a key is absent, the default of the format holds. A key with an impossible value is an error that names the key:
//! falling back to the default would load a different model than the file describes.

use std::ops::RangeInclusive;

use crate::error::StoreError;
use crate::gguf::{GgufFile, Value};

/// The limit for a count. Larger ones do not occur, and with this limit the product of two fits into an integer.
pub(super) const MAX_COUNT: usize = 1 << 28;

/// The keys of each kind, apart from those of an architecture. `tokenizer.chat_template` includes
/// `tokenizer.chat_template.NAME`.
const TEXTS: [&str; 3] = ["tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.chat_template"];
const FLAGS: [&str; 3] =
    ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_space_prefix"];
const LISTS: [&str; 4] =
    ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores", "tokenizer.ggml.merges"];

/// Checks the kinds of all texts, flags and lists that the import reads, so that a value of the wrong kind is not
/// mistaken for an absent key.
pub(super) fn check_kinds(gguf: &GgufFile, architecture: &str) -> Result<(), StoreError> {
    let rope_type = format!("{architecture}.rope.scaling.type");
    let is_template = |key: &str| key.starts_with("tokenizer.chat_template.");
    for (key, value) in gguf.metadata.iter() {
        let expected = match value {
            Value::Text(_) => None,
            _ if TEXTS.contains(&key) || key == rope_type || is_template(key) => Some("a text"),
            _ => None,
        };
        let expected = expected.or(match value {
            Value::Bool(_) => None,
            _ => FLAGS.contains(&key).then_some("true or false"),
        });
        let expected = expected.or(match value {
            Value::Array(_) => None,
            _ => LISTS.contains(&key).then_some("a list"),
        });
        if let Some(expected) = expected {
            return Err(refusal(gguf, key, expected, value));
        }
    }
    Ok(())
}

/// The value of a key as a whole number; `None` if the key is absent.
pub(super) fn count(
    gguf: &GgufFile,
    key: &str,
    range: RangeInclusive<usize>,
) -> Result<Option<usize>, StoreError> {
    let Some(value) = gguf.metadata.value(key) else { return Ok(None) };
    let expected = || format!("a whole number between {} and {}", range.start(), range.end());
    let it = value.as_count().filter(|it| range.contains(it));
    it.ok_or_else(|| refusal(gguf, key, &expected(), value)).map(Some)
}

/// A whole number that some files repeat for each layer.
pub(super) fn count_of_layers(gguf: &GgufFile, key: &str) -> Result<Option<usize>, StoreError> {
    let Some(Value::Array(items)) = gguf.metadata.value(key) else { return count(gguf, key, 1..=MAX_COUNT) };
    let Some(first) = items.first() else {
        return Err(gguf.bad(format!("`{key}` must have a number for each layer, got none")));
    };
    if items.iter().any(|it| it != first) {
        let what = format!("layers that differ in `{key}`");
        return Err(gguf.unsupported(what, "choose a model whose layers are alike"));
    }
    let expected = || format!("whole numbers between 1 and {MAX_COUNT}");
    let it = first.as_count().filter(|it| (1..=MAX_COUNT).contains(it));
    it.ok_or_else(|| refusal(gguf, key, &expected(), first)).map(Some)
}

/// The value of a key as a number, which must satisfy `is_possible`; `None` if the key is absent.
pub(super) fn number(
    gguf: &GgufFile,
    key: &str,
    expected: &str,
    is_possible: impl Fn(f64) -> bool,
) -> Result<Option<f64>, StoreError> {
    let Some(value) = gguf.metadata.value(key) else { return Ok(None) };
    let it = value.as_f64().filter(|it| is_possible(*it));
    it.ok_or_else(|| refusal(gguf, key, expected, value)).map(Some)
}

/// The error for a key whose value is not `expected`.
pub(super) fn refusal(gguf: &GgufFile, key: &str, expected: &str, got: &Value) -> StoreError {
    gguf.bad(format!("`{key}` must be {expected}, got {got}"))
}

/// The error for a required key that is absent.
pub(super) fn absent(gguf: &GgufFile, key: &str) -> StoreError {
    gguf.bad(format!("`{key}` is missing"))
}
