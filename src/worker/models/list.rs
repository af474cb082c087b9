//! `runabout models list`.

use std::io::Write;

use anyhow::Result;
use runabout_store::{Source, Store, named_models};
use serde::Serialize;

use super::description::Description;
use super::report::print_json;
use super::sizes::{ago, size, tokens};
use super::table;
use crate::cli::ListArgs;

/// What `--json` prints.
#[derive(Serialize)]
struct List {
    models: Vec<Description>,
    /// Named models that are not on this machine.
    available: Vec<Available>,
}

#[derive(Serialize)]
struct Available {
    name: &'static str,
    about: &'static str,
    size_bytes: u64,
}

pub(super) fn run(store: &Store, args: &ListArgs) -> Result<()> {
    let models: Vec<Description> = store.list()?.into_iter().map(|it| Description::of(store, it)).collect();
    let is_missing = |name: &str| models.iter().all(|it| it.name != name);
    let available: Vec<Available> = named_models()
        .iter()
        .filter(|it| is_missing(it.name))
        .map(|it| Available { name: it.name, about: it.about, size_bytes: it.n_bytes })
        .collect();
    if args.json {
        return print_json(&List { models, available });
    }
    let mut out = std::io::stdout();
    let mut headings =
        vec!["NAME", " SIZE", "ARCHITECTURE", "WEIGHTS", " CONTEXT", "DOES", "RUNS", "FITS", "USED"];
    if args.verbose {
        headings.push("FROM");
    }
    let rows: Vec<Vec<String>> = models.iter().map(|it| row(it, args.verbose)).collect();
    if !rows.is_empty() {
        table::print(&mut out, &headings, &rows)?;
    }
    for model in &models {
        if let Some(obstacle) = &model.obstacle {
            writeln!(out, "`{}` does not run: {obstacle}", model.name)?;
        }
    }
    if !available.is_empty() {
        writeln!(
            out,
            "{}Not on this machine; `runabout models pull NAME` fetches:",
            if rows.is_empty() { "" } else { "\n" }
        )?;
        for model in &available {
            writeln!(out, "  {:<20} {:>9}  {}", model.name, size(model.size_bytes), model.about)?;
        }
    }
    Ok(())
}

fn row(model: &Description, is_verbose: bool) -> Vec<String> {
    let unknown = || "-".to_owned();
    let does = [model.fim.map(|_| "fill-in"), model.chat.then_some("chat")];
    let does = does.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let yes_no = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let weights = match (&model.quantization, &model.architecture) {
        (Some(it), _) => it.summary(),
        (None, Some(_)) => "plain".to_owned(),
        (None, None) => unknown(),
    };
    let mut row = vec![
        model.name.clone(),
        size(model.size_bytes),
        model.architecture.clone().unwrap_or_else(unknown),
        weights,
        model.context_tokens.map_or_else(unknown, tokens),
        if does.is_empty() { unknown() } else { does },
        yes_no(model.runs),
        model.memory.as_ref().map_or_else(unknown, |it| yes_no(it.fits)),
        model.used.map_or_else(unknown, ago),
    ];
    if is_verbose {
        row.push(model.source.as_ref().map_or_else(unknown, origin));
    }
    row
}

/// Where a model's bytes came from.
pub(super) fn origin(source: &Source) -> String {
    match source {
        Source::Hub { repository, commit, .. } => format!("{repository} at {commit:.12}"),
        Source::Packages { requirements, .. } => match requirements.as_slice() {
            [one] => format!("package {one}"),
            [first, .., last] => format!("packages {first} to {last}"),
            [] => "packages".to_owned(),
        },
        Source::File { path, .. } => path.clone(),
    }
}
