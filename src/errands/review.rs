//! Reviews a diff: [`Errands::review_diff`].

mod diff;

use std::sync::Arc;

use serde_json::Value;

use crate::ask::{Asker, Form};
use crate::effort::Effort;
use crate::errand::{Errand, Errands};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::formats;
use crate::inquiry::{Inquiry, ask_twice};
use crate::map::json_of;
use crate::prompts;
use crate::room::fit;
use diff::{FileDiff, files_of};

/// The room for the findings of one file.
const FINDINGS_TOKENS: usize = 768;

/// What the model is asked for.
const TASK: &str = "\
Find mistakes in the lines that begin with + : bugs, wrong conditions, missing error handling, broken behaviour. Do not praise, and do not repeat what the change does.

Answer with JSON of this form, with an empty list if there is nothing wrong:
{\"findings\": [{\"line\": 12, \"severity\": \"error\", \"note\": \"what is wrong\"}]}
The severity is \"error\", \"warning\" or \"note\". The line is the number at the beginning of the line.";

/// The form of the findings. A model that repeats itself ends at the limits.
const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "maxItems": 8,
            "items": {
                "type": "object",
                "properties": {
                    "line": { "type": "integer", "minimum": 0, "maximum": 9999999 },
                    "severity": { "enum": ["error", "warning", "note"] },
                    "note": { "type": "string", "maxLength": 300 }
                },
                "required": ["line", "severity", "note"],
                "additionalProperties": false
            }
        }
    },
    "required": ["findings"],
    "additionalProperties": false
}"#;

/// A unified diff to review.
#[derive(Clone, Debug)]
pub struct ReviewDiff {
    pub diff: String,
    /// What to look for, in addition to mistakes.
    pub instruction: Option<String>,
    pub effort: Effort,
}

/// What was found in one file.
#[derive(Clone, Debug)]
pub struct Review {
    /// The path as the diff has it.
    pub path: String,
    pub findings: Result<Vec<Finding>, Fault>,
    pub evidence: Evidence,
}

/// Something that should be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line in the new file; `None` if the model named none that the diff shows.
    pub line: Option<u32>,
    pub severity: Severity,
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Note,
    Warning,
    Error,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Errands {
    /// Reviews the changes of each file. The items are the files of the diff that have changes.
    pub fn review_diff(&self, request: ReviewDiff) -> Result<Errand<Review>, Fault> {
        let files = files_of(&request.diff)?;
        let instruction: Arc<Option<String>> = Arc::new(request.instruction);
        Ok(self
            .begin(request.effort, files, move |asker, file| review(asker, Arc::clone(&instruction), file)))
    }
}

async fn review(asker: Asker, instruction: Arc<Option<String>>, file: FileDiff) -> Review {
    let mut evidence = Evidence::default();
    let findings = find(&asker, instruction.as_deref(), &file, &mut evidence).await;
    if evidence.n_answers > 0 {
        evidence.schema_valid = Some(findings.is_ok());
    }
    Review { path: file.path, findings, evidence }
}

async fn find(
    asker: &Asker,
    instruction: Option<&str>,
    file: &FileDiff,
    evidence: &mut Evidence,
) -> Result<Vec<Finding>, Fault> {
    let task = match instruction.map(str::trim).filter(|it| !it.is_empty()) {
        Some(instruction) => format!("{instruction}\n\n{TASK}"),
        None => TASK.to_owned(),
    };
    let prompt = |text: &str| prompts::review(&task, &file.path, text);
    let (shown, is_cut) = fit(asker, &file.shown, FINDINGS_TOKENS, prompt).await?;
    evidence.is_input_truncated = is_cut;
    let inquiry = Inquiry {
        messages: prompt(shown),
        n_answer: FINDINGS_TOKENS,
        form: Form::Helpful(formats::json(SCHEMA)),
        reminder: "write the JSON and nothing else.",
    };
    let read = |answer: &str| findings_of(&json_of(answer)?, file);
    ask_twice(asker, inquiry, evidence, read).await
}

/// The findings in an answer; without those that say nothing, and none twice.
fn findings_of(json: &Value, file: &FileDiff) -> Result<Vec<Finding>, Fault> {
    let list = json.get("findings").unwrap_or(json).as_array();
    let list =
        list.ok_or_else(|| Fault::InvalidJson { message: "there is no list `findings`".to_owned() })?;
    let mut findings = Vec::new();
    for item in list {
        let note = item.get("note").and_then(Value::as_str).unwrap_or_default().trim();
        let line = item.get("line").and_then(Value::as_u64).and_then(|it| u32::try_from(it).ok());
        let severity = match item.get("severity").and_then(Value::as_str) {
            Some("error") => Severity::Error,
            Some("warning") => Severity::Warning,
            _ => Severity::Note,
        };
        let finding =
            Finding { line: line.filter(|it| file.lines.contains(it)), severity, note: note.to_owned() };
        if !note.is_empty() && !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_finding_names_only_lines_that_the_diff_shows() {
        let file = FileDiff { lines: [4, 5].into(), ..FileDiff::default() };
        let answer = r#"{"findings": [{"line": 4, "severity": "error", "note": "a"}, {"line": 9, "note": "b"},
            {"line": 4, "severity": "error", "note": "a"}, {"line": 5, "note": " "}]}"#;
        let findings = findings_of(&json_of(answer).unwrap(), &file).unwrap();
        let expected = [(Some(4), Severity::Error, "a"), (None, Severity::Note, "b")];
        assert_eq!(
            findings,
            expected.map(|(line, severity, note)| Finding { line, severity, note: note.to_owned() })
        );
    }
}
