//! The tool `map_files`: the same question about each of many files, which the server reads itself, in parallel.

use runabout_errands::{MapFiles as Request, MapTask, MapValue, Mapped};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::errand::{self, Fault, Limits};
use super::evidence::{Evidence, FinishReason, rounded};
use super::failure::Failure;
use super::files::{self, Chosen, LeftOut};
use super::tool::{Call, Effect, Report, Tool, capped};

pub(super) enum MapFiles {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    task: Task,
    /// Files, folders and globs such as `src/**/*.py`, from the root or absolute. `!x` takes away what matches `x`.
    paths: Vec<String>,
    /// What to look for, or what matters, in a sentence.
    instruction: Option<String>,
    /// For `classify`: the labels, of which each file gets one.
    labels: Option<Vec<String>>,
    /// For `extract`: the JSON Schema of the value that each file gets.
    schema: Option<Map<String, Value>>,
    /// The most tokens that the model writes for one file.
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// After this time the work on a file ends, and counts as cut off.
    #[schemars(range(min = 0.001))]
    time_limit_seconds: Option<f64>,
    /// The same seed gives the same answers.
    seed: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Task {
    Summarize,
    Classify,
    Extract,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// One for each file, in the order in which they were found.
    files: Vec<File>,
    /// What was named and not used.
    left_out: Vec<LeftOut>,
    /// Whether files are missing at the end because the result would be too long.
    truncated: bool,
    evidence: Evidence,
}

#[derive(Serialize, JsonSchema)]
struct File {
    path: String,
    /// What the file is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The probability, from 0 to 1, that the model gives to the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// The value that was extracted. It conforms to the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// Why there is nothing for this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    /// Whether the summary was cut off by a limit.
    truncated: bool,
    /// Whether only a part of the file fitted into the model's context.
    input_truncated: bool,
    /// The mean log probability of the model's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_logprob: Option<f64>,
}

impl Tool for MapFiles {
    const NAME: &'static str = "map_files";
    const TITLE: &'static str = "Summarize, classify or extract from many files";
    const DESCRIPTION: &'static str = "A small local model reads each of the files itself and summarizes it, gives it one of \
        your labels, or extracts a value that conforms to your JSON Schema. Many files run in parallel. Use it before you \
        read many files yourself.";
    const EFFECT: Effect = Effect::ReadsOnly;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, arguments: Arguments) -> Result<Report<Output>, Failure> {
        let Arguments { task, paths, instruction, labels, schema, max_tokens, time_limit_seconds, seed } =
            arguments;
        let effort = Limits { max_tokens, time_limit_seconds, seed }.effort()?;
        let task = map_task(task, labels, schema)?;
        let Chosen { files, left_out } = files::choose(call, paths).await?;
        let names: Vec<String> = files.iter().map(|it| it.path.shown().to_owned()).collect();
        let errand = errand::errands(call).map_files(Request { task, instruction, files, effort });
        let mapped = errand::finish(errand, &names, call).await?;
        let evidence = Evidence::of_errand(mapped.iter().map(|it| &it.evidence), call);
        let mut files: Vec<File> = mapped.into_iter().map(File::from).collect();
        let truncated = leave_out_what_is_too_long(&mut files);
        let mut lines: Vec<String> = files.iter().map(File::line).collect();
        let n_failed = files.iter().filter(|it| it.error.is_some()).count();
        let note = if truncated { "; the rest is too long to show" } else { "" };
        lines.push(format!("[{} files, {n_failed} failed{note}; {}]", names.len(), evidence.line()));
        Ok(Report { output: Output { files, left_out, truncated, evidence }, texts: vec![lines.join("\n")] })
    }
}

fn map_task(
    task: Task,
    labels: Option<Vec<String>>,
    schema: Option<Map<String, Value>>,
) -> Result<MapTask, Failure> {
    let only_for =
        |name, of: &str| Failure::argument(name, &format!("must be absent unless `task` is `{of}`"));
    match (task, labels, schema) {
        (Task::Classify, None, _) => {
            Err(Failure::argument("labels", "must be given if `task` is `classify`"))
        }
        (Task::Classify, Some(labels), None) if labels.len() >= 2 => Ok(MapTask::Classify { labels }),
        (Task::Classify, Some(_), None) => Err(Failure::argument("labels", "must have at least two labels")),
        (Task::Extract, None, Some(schema)) => {
            Ok(MapTask::Extract { schema: Value::Object(schema).to_string() })
        }
        (Task::Extract, None, None) => {
            Err(Failure::argument("schema", "must be given if `task` is `extract`"))
        }
        (Task::Summarize, None, None) => Ok(MapTask::Summarize),
        (Task::Extract | Task::Summarize, Some(_), _) => Err(only_for("labels", "classify")),
        (Task::Classify | Task::Summarize, _, Some(_)) => Err(only_for("schema", "extract")),
    }
}

fn leave_out_what_is_too_long(files: &mut Vec<File>) -> bool {
    let mut text = String::new();
    let fits = |it: &File| {
        text.push_str(&it.line());
        !capped(text.clone()).1
    };
    let n_fitting = files.iter().map(fits).take_while(|it| *it).count();
    let truncated = n_fitting < files.len();
    files.truncate(n_fitting);
    truncated
}

impl File {
    fn line(&self) -> String {
        let Self { path, summary, label, value, error, .. } = self;
        let what = match (summary, label, value, error) {
            (_, _, _, Some(fault)) => format!("failed: {}", fault.message),
            (Some(summary), ..) => summary.clone(),
            (_, Some(label), ..) => label.clone(),
            (_, _, Some(value), _) => value.to_string(),
            _ => String::new(),
        };
        format!("{path}: {what}")
    }
}

impl From<Mapped> for File {
    fn from(mapped: Mapped) -> Self {
        let mut file = Self {
            path: mapped.path.shown().to_owned(),
            summary: None,
            label: None,
            probability: None,
            value: None,
            error: None,
            truncated: mapped.evidence.finish_reason.is_some_and(|it| FinishReason::from(it).is_cut()),
            input_truncated: mapped.evidence.is_input_truncated,
            mean_logprob: mapped.evidence.mean_logprob.map(rounded),
        };
        match mapped.value {
            Ok(MapValue::Summary(summary)) => file.summary = Some(summary),
            Ok(MapValue::Label { label, probability }) => {
                file.label = Some(label);
                file.probability = probability.map(rounded);
            }
            Ok(MapValue::Json(json)) => match serde_json::from_str(&json) {
                Ok(value) => file.value = Some(value),
                Err(error) => {
                    let message = format!("the answer is not JSON: {error}");
                    file.error = Some(Fault { code: "not_json".to_owned(), message });
                }
            },
            Err(fault) => file.error = Some(fault.into()),
        }
        file
    }
}
