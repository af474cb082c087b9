//! What prompts are made of.

use serde_json::{Value, json};

/// A source file from which prompts are taken.
pub(super) const FILE: &str = include_str!("../../../text/stop.rs");
/// Roughly the number of characters per token of source code; a little less than for either model.
pub(super) const CHARS_PER_TOKEN: usize = 3;

/// A completion with a new prompt of about 60 tokens.
pub(super) fn quick(idx: usize) -> Value {
    let start = FILE.char_indices().map(|(at, _)| at).nth(idx * 37 % (FILE.len() / 2)).unwrap_or_default();
    let excerpt: String = FILE[start..].chars().take(60 * CHARS_PER_TOKEN).collect();
    json!({"prefix": format!("// {idx}\n{excerpt}"), "mode": "raw", "max_tokens": 8})
}
