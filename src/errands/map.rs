//! Asks the same of many files: [`Errands::map_files`].

use std::sync::Arc;

use runabout_files::{FilePath, Snapshot};
use serde_json::Value;

use crate::ask::{Asker, Form};
use crate::effort::Effort;
use crate::errand::{Errand, Errands};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::fenced::code_of;
use crate::formats;
use crate::inquiry::{Inquiry, ask_twice};
use crate::lines::in_lf;
use crate::prompts;
use crate::room::fit;

/// The room for a summary.
const SUMMARY_TOKENS: usize = 256;
/// The room for extracted values.
const EXTRACT_TOKENS: usize = 1_024;
/// The most that a fault quotes of an answer.
const MAX_QUOTED_CHARS: usize = 80;

/// A task, and the files that it is done for, each by itself.
#[derive(Clone, Debug)]
pub struct MapFiles {
    pub task: MapTask,
    /// What is wanted, in words; for a summary and a classification it may be left out.
    pub instruction: Option<String>,
    pub files: Vec<Snapshot>,
    pub effort: Effort,
}

/// What is made of each file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapTask {
    /// A text.
    Summarize,
    /// One of the labels, of which there are at least two.
    Classify { labels: Vec<String> },
    /// A JSON value that is valid under a JSON Schema.
    Extract { schema: String },
}

/// What was made of one file.
#[derive(Clone, Debug)]
pub struct Mapped {
    pub path: FilePath,
    pub value: Result<MapValue, Fault>,
    pub evidence: Evidence,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MapValue {
    /// Its evidence says whether it was cut off at the token limit.
    Summary(String),
    Label {
        label: String,
        /// The probability that the model gives to this answer, from 0 to 1.
        probability: Option<f64>,
    },
    /// JSON text on one line.
    Json(String),
}

impl Errands {
    /// Does the task for each file. The items are the files. Of a file that does not fit into the model's context, only
    /// the beginning is read, which its evidence tells.
    pub fn map_files(&self, request: MapFiles) -> Errand<Mapped> {
        let MapFiles { task, instruction, files, effort } = request;
        let task = Arc::new(Task { task, instruction });
        self.begin(effort, files, move |asker, file| map(asker, Arc::clone(&task), file))
    }
}

async fn map(asker: Asker, task: Arc<Task>, file: Snapshot) -> Mapped {
    let mut evidence = Evidence::default();
    let value = task.ask(&asker, &file, &mut evidence).await;
    if matches!(task.task, MapTask::Extract { .. }) && evidence.n_answers > 0 {
        evidence.schema_valid = Some(value.is_ok());
    }
    Mapped { path: file.path, value, evidence }
}

struct Task {
    task: MapTask,
    instruction: Option<String>,
}

impl Task {
    async fn ask(&self, asker: &Asker, file: &Snapshot, evidence: &mut Evidence) -> Result<MapValue, Fault> {
        let path = file.path.relative();
        let text = in_lf(&file.text);
        let question = self.question();
        let n_answer = match &self.task {
            MapTask::Summarize => SUMMARY_TOKENS,
            MapTask::Classify { labels } => {
                let longest = labels.iter().max_by_key(|it| it.len()).map_or("", String::as_str);
                asker.n_tokens(longest).await? + 8
            }
            MapTask::Extract { schema } => {
                check_schema(schema)?;
                EXTRACT_TOKENS
            }
        };
        let prompt = |text: &str| match &self.task {
            MapTask::Classify { .. } => prompts::label_of_file(&question, path, text),
            MapTask::Summarize | MapTask::Extract { .. } => prompts::about_file(&question, path, text),
        };
        let (shown, is_cut) = fit(asker, &text, n_answer, prompt).await?;
        evidence.is_input_truncated = is_cut;
        let messages = prompt(shown);
        match &self.task {
            MapTask::Summarize => {
                let answer = asker.ask_once(messages, n_answer, evidence).await?;
                let summary = answer.text.trim().to_owned();
                if summary.is_empty() { Err(Fault::NoAnswer) } else { Ok(MapValue::Summary(summary)) }
            }
            MapTask::Classify { labels } => {
                let reminder = "answer with one of the labels and nothing else.";
                let form = Form::Helpful(formats::labels(labels));
                let inquiry = Inquiry { messages, n_answer, form, reminder };
                let read = |answer: &str| label_of(answer, labels);
                let label = ask_twice(asker, inquiry, evidence, read).await?;
                // The answer is little more than the label, so its tokens are the label's.
                let n_tokens = evidence.generated_tokens as f64;
                let probability =
                    evidence.mean_logprob.filter(|_| !evidence.is_retried).map(|it| (it * n_tokens).exp());
                Ok(MapValue::Label { label, probability })
            }
            MapTask::Extract { schema } => {
                let reminder = "write the JSON and nothing else.";
                let form = Form::Demanded(formats::json(schema));
                let inquiry = Inquiry { messages, n_answer, form, reminder };
                let json = ask_twice(asker, inquiry, evidence, json_of).await?;
                Ok(MapValue::Json(json.to_string()))
            }
        }
    }

    fn question(&self) -> String {
        let instruction = self.instruction.as_deref().map(str::trim).filter(|it| !it.is_empty());
        match &self.task {
            MapTask::Summarize => {
                let what =
                    instruction.unwrap_or("Summarize what this file is for, in at most three sentences.");
                format!("{what} Answer in plain text.")
            }
            MapTask::Classify { labels } => {
                let what = instruction.unwrap_or("Which label fits this file best?");
                format!("{what}\n\nAnswer with one of these labels and nothing else: {}", labels.join(", "))
            }
            MapTask::Extract { schema } => {
                let what = instruction.unwrap_or("Extract the values from this file.");
                format!("{what}\n\nAnswer with JSON that is valid under this JSON Schema:\n{schema}")
            }
        }
    }
}

fn check_schema(schema: &str) -> Result<(), Fault> {
    match serde_json::from_str::<Value>(schema) {
        Ok(Value::Object(_) | Value::Bool(_)) => Ok(()),
        Ok(_) => Err(Fault::InvalidSchema { message: "a schema is an object".to_owned() }),
        Err(error) => Err(Fault::InvalidSchema { message: error.to_string() }),
    }
}

/// The label that an answer names: as it is, or else the only one in it.
fn label_of(answer: &str, labels: &[String]) -> Result<String, Fault> {
    let bare = |it: &str| it.trim_matches(|it: char| !it.is_alphanumeric()).to_lowercase();
    let said = bare(answer);
    if let Some(label) = labels.iter().find(|it| bare(it) == said) {
        return Ok(label.clone());
    }
    let is_in = |label: &&String| {
        let label = bare(label);
        !label.is_empty()
            && said.match_indices(&label).any(|(at, _)| {
                let is_inner = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
                !is_inner(said[..at].chars().next_back())
                    && !is_inner(said[at + label.len()..].chars().next())
            })
    };
    let mut found = labels.iter().filter(is_in);
    match (found.next(), found.next()) {
        (Some(label), None) => Ok(label.clone()),
        _ => Err(Fault::NoLabel { answer: answer.trim().chars().take(MAX_QUOTED_CHARS).collect() }),
    }
}

/// The JSON value in an answer, which may be in a code block.
pub(crate) fn json_of(answer: &str) -> Result<Value, Fault> {
    let block = if answer.contains("```") { code_of(answer, "").ok() } else { None };
    let text = block.as_deref().unwrap_or(answer);
    serde_json::from_str(text.trim()).map_err(|error| Fault::InvalidJson { message: error.to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_answer_is_a_label_only_without_doubt() {
        let labels = ["error", "warning", "no error"].map(str::to_owned);
        assert_eq!(label_of("Error.", &labels).unwrap(), "error");
        assert_eq!(label_of("The label is \"warning\"", &labels).unwrap(), "warning");
        assert_eq!(label_of("no error", &labels).unwrap(), "no error");
        assert!(matches!(label_of("error or warning", &labels), Err(Fault::NoLabel { .. })));
        assert!(matches!(label_of("terror", &labels), Err(Fault::NoLabel { .. })));
    }

    #[test]
    fn json_is_read_from_a_block_too() {
        assert_eq!(json_of("```json\n{\"a\": 1}\n```").unwrap()["a"], 1);
        assert_eq!(json_of(" [1] ").unwrap()[0], 1);
        assert!(matches!(json_of("{a}"), Err(Fault::InvalidJson { .. })));
    }
}
