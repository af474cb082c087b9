//! Texts from the command line, or from stdin where that says `-`.

use std::io::Read;

use anyhow::{Context, Result};

/// `text`, or all of stdin if it is `-`.
pub(super) fn text_or_stdin(text: String) -> Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    Ok(text)
}
