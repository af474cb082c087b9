//! The tool `write_tests`: a file of tests for each of some files.

use runabout_errands::{NewFile, WriteTests as Request, WrittenTests};
use runabout_files::Change;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errand::{self, Fault, Limits};
use super::evidence::{Evidence, ParseCheck, rounded};
use super::failure::Failure;
use super::files::{self, Chosen, LeftOut};
use super::tool::{Call, Effect, Report, Tool, capped};

pub(super) enum WriteTests {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The files to test: paths, folders and globs, from the root or absolute.
    paths: Vec<String>,
    /// What to test, and how.
    instruction: Option<String>,
    /// Whether the tests are written to new files: all of them, or none if one of the files exists. Default: false.
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
    /// Whether the tests were written to new files.
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
    /// The file that is tested.
    path: String,
    /// Where its tests belong.
    #[serde(skip_serializing_if = "Option::is_none")]
    test_path: Option<String>,
    /// The new file as a unified diff, which `git apply` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    /// Whether the tests are well-formed, for languages that can be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    parse: Option<ParseCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_logprob: Option<f64>,
}

impl Tool for WriteTests {
    const NAME: &'static str = "write_tests";
    const TITLE: &'static str = "Write tests for files";
    const DESCRIPTION: &'static str = "A small local model reads each of the files itself and drafts tests for it. They are \
        not run: run and correct them yourself.";
    const EFFECT: Effect = Effect::EditsFiles;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, arguments: Arguments) -> Result<Report<Output>, Failure> {
        let Arguments { paths, instruction, apply, max_tokens, time_limit_seconds, seed } = arguments;
        let effort = Limits { max_tokens, time_limit_seconds, seed }.effort()?;
        let Chosen { files, left_out } = files::choose(call, paths).await?;
        let names: Vec<String> = files.iter().map(|it| it.path.shown().to_owned()).collect();
        let errand = errand::errands(call).write_tests(Request { files, instruction, effort });
        let written = errand::finish(errand, &names, call).await?;
        let evidence = Evidence::of_errand(written.iter().map(|it| &it.evidence), call);
        // What a client no longer wants must not happen to its files.
        let is_wanted = apply && written.iter().any(|it| it.outcome.is_ok()) && !call.is_given_up();
        // The diffs are worth having even so.
        let apply_error = if is_wanted { write(call, &written).await.err().map(|it| it.0) } else { None };
        let applied = is_wanted && apply_error.is_none();
        let mut files: Vec<File> = written.into_iter().map(File::from).collect();
        let mut shown = String::new();
        let mut truncated = false;
        for file in &mut files {
            let longer = shown.clone() + file.diff.as_deref().unwrap_or_default();
            if capped(longer.clone()).1 {
                truncated = true;
                file.diff = None;
            } else {
                shown = longer;
            }
        }
        let n_failed = files.iter().filter(|it| it.error.is_some()).count();
        let note = if truncated { "; some are too long to show" } else { "" };
        let done = if applied { "written" } else { "drafted" };
        let mut lines = vec![format!(
            "[{} {done}, {n_failed} failed{note}; {}]",
            files.len() - n_failed,
            evidence.line()
        )];
        let faults = files.iter().filter_map(|it| it.error.as_ref().map(|fault| (&it.path, fault)));
        lines.extend(faults.map(|(path, fault)| format!("{path}: {}", fault.message)));
        lines.extend(apply_error.as_ref().map(|it| format!("nothing was written: {it}")));
        let texts = vec![shown, lines.join("\n")];
        Ok(Report { output: Output { files, left_out, applied, apply_error, truncated, evidence }, texts })
    }
}

/// Makes the new files, all or none.
async fn write(call: &Call, written: &[WrittenTests]) -> Result<(), Failure> {
    let mut changes = Vec::new();
    for it in written {
        if let Ok(NewFile { relative, text, .. }) = &it.outcome {
            let path = files::beside(call, it.path.clone(), relative.clone()).await?;
            changes.push(Change::create(path, text.clone()));
        }
    }
    files::apply(call, changes).await
}

impl From<WrittenTests> for File {
    fn from(written: WrittenTests) -> Self {
        let (test_path, diff, error) = match written.outcome {
            Ok(NewFile { relative, diff, .. }) => (Some(relative), Some(diff), None),
            Err(fault) => (None, None, Some(fault.into())),
        };
        Self {
            path: written.path.shown().to_owned(),
            test_path,
            diff,
            error,
            parse: written.evidence.parse.as_ref().map(ParseCheck::from),
            mean_logprob: written.evidence.mean_logprob.map(rounded),
        }
    }
}
