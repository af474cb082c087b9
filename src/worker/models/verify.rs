//! `runabout models verify`.

use std::io::Write;

use anyhow::{Result, bail};
use runabout_store::{FaultKind, Progress, Store};
use serde::Serialize;

use super::report::{not_here, print_json};
use crate::cli::NamedArgs;
use crate::progress_line::ProgressLine;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    is_right: bool,
    files_right: usize,
    faults: Vec<Fault<'a>>,
    /// Files of which nothing says what they must be.
    unknown: &'a [String],
}

#[derive(Serialize)]
struct Fault<'a> {
    file: &'a str,
    /// `None` if the file is missing.
    got: Option<&'a str>,
    expected: Option<&'a str>,
}

pub(super) fn run(store: &Store, args: &NamedArgs) -> Result<()> {
    let model = &args.model;
    let mut line = ProgressLine::default();
    let mut show = |it: Progress| line.show(it.stage.name(), it.done, it.total.unwrap_or(0));
    let verdict = store.verify(model, &mut show).map_err(|err| not_here(model, err))?;
    line.clear();
    let mut out = std::io::stdout();
    if args.json {
        let faults = verdict.faults.iter().map(|it| match &it.kind {
            FaultKind::Missing => Fault { file: &it.file, got: None, expected: None },
            FaultKind::Changed { expected, got } => {
                Fault { file: &it.file, got: Some(got), expected: Some(expected) }
            }
        });
        print_json(&Report {
            name: model,
            is_right: verdict.faults.is_empty(),
            files_right: verdict.n_right,
            faults: faults.collect(),
            unknown: &verdict.unknown,
        })?;
    } else {
        for fault in &verdict.faults {
            match &fault.kind {
                FaultKind::Missing => writeln!(out, "{}: missing", fault.file)?,
                FaultKind::Changed { expected, got } => {
                    writeln!(out, "{}: expected hash {expected}, got {got}", fault.file)?;
                }
            }
        }
        for file in &verdict.unknown {
            writeln!(out, "{file}: nothing says what it must be")?;
        }
    }
    if !verdict.faults.is_empty() {
        bail!("`{model}` is damaged\nhint: `runabout models rm {model}`, then pull it again");
    }
    if !args.json {
        writeln!(out, "`{model}` is as it came: {} files", verdict.n_right)?;
    }
    Ok(())
}
