//! `runabout models show`.

use std::io::Write;

use anyhow::Result;
use runabout_store::Store;

use super::description::{Description, Memory};
use super::list::origin;
use super::report::{not_here, print_json};
use super::sizes::{size, tokens};
use crate::cli::NamedArgs;

pub(super) fn run(store: &Store, args: &NamedArgs) -> Result<()> {
    let installed = store.installed(&args.model).map_err(|err| not_here(&args.model, err))?;
    let model = Description::of(store, installed);
    if args.json {
        return print_json(&model);
    }
    let unknown = || "unknown".to_owned();
    let mut out = std::io::stdout();
    let mut line = |name: &str, value: String| writeln!(out, "{name:<14} {value}");
    line("name", model.name.clone())?;
    line("folder", model.path.display().to_string())?;
    let packed = match model.packed_bytes {
        0 => String::new(),
        n => format!(", and {} packed for faster starts", size(n)),
    };
    line("size", size(model.size_bytes) + &packed)?;
    line("architecture", model.architecture.clone().unwrap_or_else(unknown))?;
    let group = |it: &runabout_store::Quantization| match it.group_size {
        Some(n) => format!("{}, in groups of {n}", it.summary()),
        None => it.summary(),
    };
    line("weights", model.quantization.as_ref().map_or_else(|| "not quantized".to_owned(), group))?;
    line("context", model.context_tokens.map_or_else(unknown, |it| format!("{} tokens", tokens(it))))?;
    line("fill-in", model.fim.map_or_else(|| "no".to_owned(), |it| format!("yes, as {it}")))?;
    line("chat", if model.chat { "yes" } else { "no" }.to_owned())?;
    line("runs", model.obstacle.as_ref().map_or_else(|| "yes".to_owned(), |it| format!("no: {it}")))?;
    line("memory", model.memory.as_ref().map_or_else(unknown, arithmetic))?;
    line("last used", model.last_used.clone().unwrap_or_else(unknown))?;
    line("from", model.source.as_ref().map_or_else(unknown, origin))?;
    Ok(())
}

/// The sum that tells whether a model fits.
pub(super) fn arithmetic(memory: &Memory) -> String {
    let footprint = &memory.footprint;
    let state = footprint.bytes_per_token.saturating_mul(footprint.n_tokens);
    let sum = format!(
        "{} weights + {} for {} tokens ({} each) + {} = {}",
        size(footprint.weight_bytes),
        size(state),
        tokens(footprint.n_tokens),
        size(footprint.bytes_per_token),
        size(memory.other_bytes),
        size(memory.needed_bytes)
    );
    match memory.limit_bytes {
        Some(limit) if memory.fits => format!("{sum}, within {}", size(limit)),
        Some(limit) => format!("{sum}, more than {}", size(limit)),
        None => sum,
    }
}
