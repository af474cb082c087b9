//! What the commands print alike: JSON, and the error for a model that is not here.

use std::io::Write;

use anyhow::Result;
use runabout_store::{ModelRef, StoreError};
use serde::Serialize;

/// Prints a result as `--json` has it.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(value)?)?)
}

/// Adds the remedy to the error for a model that is not on this machine.
pub(super) fn not_here(model: &str, err: StoreError) -> anyhow::Error {
    match err {
        StoreError::NotInstalled { .. } => {
            let is_known = model.parse::<ModelRef>().is_ok();
            let pull = format!("`runabout models pull {model}` fetches it; ");
            anyhow::anyhow!(
                "`{model}` is not on this machine\nhint: {}`runabout models list` shows what is here",
                if is_known { &pull } else { "" }
            )
        }
        other => other.into(),
    }
}
