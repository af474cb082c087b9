//! `runabout models`: downloads, lists, verifies and removes models.

use std::io::Write;

use anyhow::{Context, Result, bail};
use runabout_store::{FaultKind, Progress, Source, Store, named_models};

use crate::cli::ModelsCommand;
use crate::loading::{open_store, store_options};
use crate::progress_line::ProgressLine;

pub(crate) fn run(command: ModelsCommand) -> Result<()> {
    let store = open_store()?;
    let mut line = ProgressLine::default();
    let mut show = |it: Progress| line.show(it.stage.name(), it.done, it.total.unwrap_or(0));
    let mut out = std::io::stdout();
    match command {
        ModelsCommand::Pull { model, offline } => {
            let folder = store.resolve(&model.parse()?, &store_options(offline), &mut show)?;
            line.clear();
            writeln!(out, "{}", folder.path.display())?;
        }
        ModelsCommand::List => list(&store, &mut out)?,
        ModelsCommand::Path { model } => {
            let installed = store.list()?;
            let found = installed.into_iter().find(|it| it.name == model);
            let found = found.with_context(|| {
                format!("`{model}` is not on this machine\nhint: `runabout models pull {model}`")
            })?;
            writeln!(out, "{}", found.path.display())?;
        }
        ModelsCommand::Verify { model } => {
            let faults = store.verify(&model, &mut show)?;
            line.clear();
            for fault in &faults {
                match &fault.kind {
                    FaultKind::Missing => writeln!(out, "{}: missing", fault.file)?,
                    FaultKind::Changed { expected, got } => {
                        writeln!(out, "{}: expected SHA-256 {expected}, got {got}", fault.file)?;
                    }
                }
            }
            if !faults.is_empty() {
                bail!("`{model}` is damaged\nhint: `runabout models remove {model}`, then pull it again");
            }
            writeln!(out, "`{model}` is as it came")?;
        }
        ModelsCommand::Remove { model } => {
            let n_bytes = store.remove(&model)?;
            writeln!(out, "removed `{model}`: {:.1} MB", n_bytes as f64 / 1e6)?;
        }
    }
    Ok(())
}

fn list(store: &Store, out: &mut impl Write) -> Result<()> {
    let installed = store.list()?;
    for model in &installed {
        let source =
            model.manifest.as_ref().map_or_else(|| "put there by hand".to_owned(), |it| origin(&it.source));
        writeln!(out, "{:<24} {:>8.1} MB  {source}", model.name, model.n_bytes as f64 / 1e6)?;
    }
    let is_missing = |name: &str| installed.iter().all(|it| it.name != name);
    for model in named_models().iter().filter(|it| is_missing(it.name)) {
        writeln!(
            out,
            "{:<24} {:>8.1} MB  not here; {}",
            model.name,
            model.n_bytes as f64 / 1e6,
            model.about
        )?;
    }
    Ok(())
}

fn origin(source: &Source) -> String {
    match source {
        Source::Hub { repository, commit, .. } => format!("from {repository} at {commit:.12}"),
        Source::Packages { requirements, .. } => match requirements.as_slice() {
            [one] => format!("from package {one}"),
            [first, .., last] => format!("from packages {first} to {last}"),
            [] => "from packages".to_owned(),
        },
        Source::File { path, .. } => format!("from {path}"),
    }
}
