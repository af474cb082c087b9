//! `runabout complete`: what an editor would suggest at a place in a file, as text, diff or JSON.

use std::fs;
use std::io::Write;
use std::path::{Component, Path};

use anyhow::{Context, Result};
use runabout_assist::{AtCursor, Completion, ContextFile, FinishReason, Form, Generation, Priority};
use runabout_files::unified_diff;
use serde::Serialize;

use super::figures::Figures;
use super::input::text_or_stdin;
use super::session;
use super::show::{Plain, Silent, follow};
use crate::cli::CompleteArgs;
use crate::place;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    model: String,
    text: String,
    /// The rule that ended the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    /// The probability, from 0 to 1, that the model gives to the first line.
    confidence: Option<f64>,
    #[serde(flatten)]
    figures: Figures,
}

pub(crate) async fn complete(args: CompleteArgs) -> Result<()> {
    let path = &args.place.path;
    let text = if args.stdin { text_or_stdin("-".to_owned())? } else { read(path)? };
    let (prefix, suffix) = place::split(&text, args.place.line, args.place.column).map_err(|error| {
        let what = if matches!(error, place::OutOfText::Line { .. }) { "line" } else { "column" };
        anyhow::anyhow!("the {what} in `{}` {error}", path.display())
    })?;
    let context =
        args.context.iter().map(|it| Ok(ContextFile { path: it.display().to_string(), text: read(it)? }));
    let completion = Completion {
        prefix: prefix.to_owned(),
        form: Form::AtCursor(AtCursor {
            suffix: Some(suffix.to_owned()),
            language: args.language.clone(),
            context: context.collect::<Result<_>>()?,
            goal: args.mode.into(),
            ..AtCursor::default()
        }),
        path: Some(path.display().to_string()),
        document: None,
        n_choices: 1,
        generation: Generation {
            sampling: (&args.sampling).into(),
            ..Generation::of(args.max_tokens, Priority::Interactive)
        },
        min_confidence: 0.0,
        needs_tokens: false,
    };
    let assistant = session::start(&args.model)?;
    let run = assistant.complete(completion)?;
    session::show_loading(assistant.model()).await;
    let mut stdout = std::io::stdout();
    let is_streamed = !args.diff && !args.json;
    let outcome = if is_streamed {
        follow(run, &mut Plain::new(&mut stdout)).await?
    } else {
        follow(run, &mut Silent).await?
    };
    let finish = &outcome.finishes[0];
    if args.diff {
        let changed = format!("{prefix}{}{suffix}", finish.text);
        write!(stdout, "{}", unified_diff(&for_git(path), Some(&text), &changed))?;
    } else if args.json {
        let report = Report {
            model: assistant.model().facts().map(|it| it.name.clone()).unwrap_or_default(),
            text: finish.text.clone(),
            rule: match finish.reason {
                FinishReason::Rule { rule } => Some(rule.name()),
                _ => None,
            },
            confidence: finish.likelihood.confidence(),
            figures: Figures::of(finish, assistant.model().engine().status().memory.peak_bytes),
        };
        writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    } else {
        writeln!(stdout)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    String::from_utf8(bytes).ok().with_context(|| {
        format!("`{}` is not UTF-8\nhint: convert it first, for example with `iconv`", path.display())
    })
}

/// The path for the header of a diff: git refuses absolute ones and `./`.
fn for_git(path: &Path) -> String {
    let parts = path.components().filter(|it| matches!(it, Component::Normal(_) | Component::ParentDir));
    let parts: Vec<_> = parts.map(|it| it.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
