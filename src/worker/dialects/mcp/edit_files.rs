//! The tool `edit_files`: an instruction is carried out in files that the server reads itself; the result is a diff.

use std::collections::HashMap;
use std::fmt::Write as _;

use runabout_errands::{EditFiles as Request, EditOutcome, Edited};
use runabout_files::{Change, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errand::{self, Fault, Limits};
use super::evidence::{Evidence, ParseCheck};
use super::failure::Failure;
use super::files::{self, Chosen, LeftOut};
use super::tool::{Call, Effect, Report, Tool, capped};

pub(super) enum EditFiles {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// What to change, as one well-defined instruction, such as "rename the function `load` to `read`".
    instruction: String,
    /// Files, folders and globs such as `src/**/*.py`, from the root or absolute. `!x` takes away what matches `x`.
    paths: Vec<String>,
    /// Whether the changes are written to the files: all of them, or none if one file has changed meanwhile. Without it
    /// the files stay as they are, and you can check the diffs and apply them with `git apply`. Default: false.
    #[serde(default)]
    apply: bool,
    /// The most tokens that the model writes for one file.
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// After this time the work on a file ends, and counts as cut off.
    #[schemars(range(min = 0.001))]
    time_limit_seconds: Option<f64>,
    /// The same seed gives the same answers.
    seed: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// One for each file, in the order in which they were found.
    files: Vec<File>,
    /// What was named and not used.
    left_out: Vec<LeftOut>,
    /// Whether the changes were written to the files.
    applied: bool,
    /// Why nothing was written although it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    apply_error: Option<String>,
    /// Whether diffs were left out because the result would be too long. What was applied is not affected.
    truncated: bool,
    evidence: Evidence,
}

#[derive(Serialize, JsonSchema)]
struct File {
    path: String,
    outcome: Outcome,
    /// The change as a unified diff, which `git apply` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    /// Why the file could not be changed as asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    /// Functions that stay as they were, since the model's answers for them were wrong.
    incomplete: Vec<Part>,
    /// Whether the new text is well-formed, for languages that can be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    parse: Option<ParseCheck>,
    /// The mean log probability of the model's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_logprob: Option<f64>,
}

/// A part of a file that could not be changed.
#[derive(Serialize, JsonSchema)]
struct Part {
    name: String,
    error: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Changed,
    Unchanged,
    Failed,
}

impl Tool for EditFiles {
    const NAME: &'static str = "edit_files";
    const TITLE: &'static str = "Edit files by an instruction";
    const DESCRIPTION: &'static str = "A small local model carries out one simple instruction in each of the files, which \
        it reads itself, and returns diffs; the files change only with `apply`. For renames, docstrings, type hints and \
        other mechanical edits. Each new text is checked; what failed says why. Review the diffs.";
    const EFFECT: Effect = Effect::EditsFiles;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, arguments: Arguments) -> Result<Report<Output>, Failure> {
        let Arguments { instruction, paths, apply, max_tokens, time_limit_seconds, seed } = arguments;
        let effort = Limits { max_tokens, time_limit_seconds, seed }.effort()?;
        if instruction.trim().is_empty() {
            return Err(Failure::argument("instruction", "must not be empty"));
        }
        let Chosen { files, left_out } = files::choose(call, paths).await?;
        let snapshots = files.clone();
        let names: Vec<String> = files.iter().map(|it| it.path.shown().to_owned()).collect();
        let errand = errand::errands(call).edit_files(Request { instruction, files, form: None, effort });
        let edited = errand::finish(errand, &names, call).await?;
        let evidence = Evidence::of_errand(edited.iter().map(|it| &it.evidence), call);
        let changes = changes(&snapshots, &edited);
        // What a client no longer wants must not happen to its files.
        let is_wanted = apply && !changes.is_empty() && !call.is_given_up();
        // The diffs are worth having even so.
        let apply_error =
            if is_wanted { files::apply(call, changes).await.err().map(|it| it.0) } else { None };
        let applied = is_wanted && apply_error.is_none();
        let mut files: Vec<File> = edited.into_iter().map(File::from).collect();
        let truncated = leave_out_long_diffs(&mut files);
        let mut note = summary(&files, applied, truncated, &evidence);
        if let Some(error) = &apply_error {
            let _ = write!(note, "\nnothing was written: {error}");
        }
        let texts = vec![note];
        let diffs = files.iter().filter_map(|it| it.diff.as_deref()).collect();
        let texts = [vec![diffs], texts].concat();
        Ok(Report { output: Output { files, left_out, applied, apply_error, truncated, evidence }, texts })
    }
}

fn changes(snapshots: &[Snapshot], edited: &[Edited]) -> Vec<Change> {
    let by_path: HashMap<_, _> = snapshots.iter().map(|it| (&it.path, it)).collect();
    let change = |it: &Edited| match &it.outcome {
        EditOutcome::Changed { text, .. } => by_path.get(&it.path).map(|of| Change::edit(of, text.clone())),
        _ => None,
    };
    edited.iter().filter_map(change).collect()
}

/// Leaves out the diffs that would make the result too long. Half a diff would be of no use.
fn leave_out_long_diffs(files: &mut [File]) -> bool {
    let mut so_far = String::new();
    let mut truncated = false;
    for file in files {
        let Some(diff) = file.diff.as_deref() else { continue };
        let longer = format!("{so_far}{diff}");
        if capped(longer.clone()).1 {
            truncated = true;
            file.diff = None;
        } else {
            so_far = longer;
        }
    }
    truncated
}

fn summary(files: &[File], applied: bool, truncated: bool, evidence: &Evidence) -> String {
    let count = |outcome| files.iter().filter(|it| it.outcome == outcome).count();
    let mut lines = vec![format!(
        "[{} changed{}, {} unchanged, {} failed{}; {}]",
        count(Outcome::Changed),
        if applied { " and written" } else { "" },
        count(Outcome::Unchanged),
        count(Outcome::Failed),
        if truncated { "; some diffs are too long to show" } else { "" },
        evidence.line(),
    )];
    for file in files {
        if let Some(fault) = &file.error {
            lines.push(format!("{}: {}", file.path, fault.message));
        }
        for part in &file.incomplete {
            lines.push(format!("{}: `{}` stays as it was: {}", file.path, part.name, part.error.message));
        }
    }
    lines.join("\n")
}

impl From<Edited> for File {
    fn from(edited: Edited) -> Self {
        let mut incomplete = Vec::new();
        let (outcome, diff, error) = match edited.outcome {
            EditOutcome::Changed { diff, left_out, .. } => {
                incomplete
                    .extend(left_out.into_iter().map(|it| Part { name: it.name, error: it.fault.into() }));
                (Outcome::Changed, Some(diff), None)
            }
            EditOutcome::Unchanged => (Outcome::Unchanged, None, None),
            EditOutcome::Failed(fault) => (Outcome::Failed, None, Some(fault.into())),
        };
        Self {
            path: edited.path.shown().to_owned(),
            outcome,
            diff,
            error,
            incomplete,
            parse: edited.evidence.parse.as_ref().map(ParseCheck::from),
            mean_logprob: edited.evidence.mean_logprob.map(super::evidence::rounded),
        }
    }
}
