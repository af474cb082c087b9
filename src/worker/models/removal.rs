//! `runabout models rm` and `runabout models prune`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::{Result, bail};
use runabout_store::{Removal, Store};
use serde::Serialize;

use super::report::{not_here, print_json};
use super::sizes::size;
use crate::cli::{RemovalArgs, RmArgs};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    freed_bytes: u64,
    removed: Vec<&'a Path>,
    /// Whether it was only said, and not done.
    dry_run: bool,
}

pub(super) fn remove(store: &Store, args: &RmArgs) -> Result<()> {
    // All names are looked up before anything is removed.
    let plan = |model: &String| store.removal(model).map_err(|err| not_here(model, err));
    let removals = args.models.iter().map(plan).collect::<Result<Vec<_>>>()?;
    carry_out(store, &removals, args.removal, "removed")
}

pub(super) fn prune(store: &Store, args: RemovalArgs) -> Result<()> {
    let litter = store.litter()?;
    if litter.is_empty() && !args.json {
        return Ok(writeln!(std::io::stdout(), "nothing to remove")?);
    }
    carry_out(store, &[litter], args, "pruned")
}

fn carry_out(store: &Store, removals: &[Removal], args: RemovalArgs, done: &str) -> Result<()> {
    let n_bytes = removals.iter().map(|it| it.n_bytes).sum();
    let all: Vec<&Path> = removals.iter().flat_map(Removal::paths).collect();
    // What goes with its folder need not be named.
    let is_inside = |it: &Path| all.iter().any(|other| it != *other && it.starts_with(other));
    let paths: Vec<&Path> = all.iter().copied().filter(|it| !is_inside(it)).collect();
    if !args.json {
        for path in &paths {
            writeln!(std::io::stderr(), "{}", path.display())?;
        }
    }
    if !args.dry_run {
        if !args.yes && !paths.is_empty() {
            ask(n_bytes)?;
        }
        for removal in removals {
            store.carry_out(removal)?;
        }
    }
    if args.json {
        return print_json(&Report { freed_bytes: n_bytes, removed: paths, dry_run: args.dry_run });
    }
    let done = if args.dry_run { "would free" } else { done };
    Ok(writeln!(std::io::stdout(), "{done}: {}", size(n_bytes))?)
}

/// Fails unless the user agrees.
fn ask(n_bytes: u64) -> Result<()> {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() {
        bail!(
            "removing this needs a confirmation, and stdin is not a terminal\nhint: `--yes` removes it without a question"
        );
    }
    write!(stderr, "Remove this, {} in all? [y/N] ", size(n_bytes))?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was removed"),
    }
}
