//! The tool `review_diff`: a first look at a diff, file by file.

use runabout_errands::{Review, ReviewDiff as Request, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errand::{self, Fault, Limits};
use super::evidence::{Evidence, rounded};
use super::failure::Failure;
use super::tool::{Call, Effect, Report, Tool};

pub(super) enum ReviewDiff {}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// A unified diff, as `git diff` prints it.
    diff: String,
    /// What to look for. By default mistakes.
    instruction: Option<String>,
    /// The most tokens that the model writes for one file.
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// After this time the review of a file ends, and counts as cut off.
    #[schemars(range(min = 0.001))]
    time_limit_seconds: Option<f64>,
    /// The same seed gives the same answers.
    seed: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// One for each file of the diff, in its order.
    files: Vec<File>,
    evidence: Evidence,
}

#[derive(Serialize, JsonSchema)]
struct File {
    path: String,
    findings: Vec<Finding>,
    /// Why the file was not reviewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    /// Whether only the beginning of the file's diff fitted into the model's context.
    input_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_logprob: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
struct Finding {
    /// The line of the new file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    severity: Level,
    note: String,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    Error,
    Warning,
    Note,
}

impl Tool for ReviewDiff {
    const NAME: &'static str = "review_diff";
    const TITLE: &'static str = "Review a diff";
    const DESCRIPTION: &'static str = "A small local model reads a diff, file by file, and notes what looks wrong. A first \
        look that misses things and raises false alarms: check each finding.";
    const EFFECT: Effect = Effect::ReadsOnly;
    type Arguments = Arguments;
    type Output = Output;

    async fn call(call: &Call, arguments: Arguments) -> Result<Report<Output>, Failure> {
        let Arguments { diff, instruction, max_tokens, time_limit_seconds, seed } = arguments;
        let effort = Limits { max_tokens, time_limit_seconds, seed }.effort()?;
        let errand = errand::errands(call).review_diff(Request { diff, instruction, effort });
        let errand =
            errand.map_err(|fault| Failure::argument("diff", &format!("must be a unified diff: {fault}")))?;
        let names: Vec<String> = (1..=errand.n_items()).map(|it| format!("file {it} of the diff")).collect();
        let reviews = errand::finish(errand, &names, call).await?;
        let evidence = Evidence::of_errand(reviews.iter().map(|it| &it.evidence), call);
        let files: Vec<File> = reviews.into_iter().map(File::from).collect();
        let mut lines: Vec<String> = files.iter().flat_map(File::lines).collect();
        lines.push(format!("[{} files; {}]", files.len(), evidence.line()));
        Ok(Report { output: Output { files, evidence }, texts: vec![lines.join("\n")] })
    }
}

impl File {
    fn lines(&self) -> Vec<String> {
        if let Some(fault) = &self.error {
            return vec![format!("{}: failed: {}", self.path, fault.message)];
        }
        let line = |it: &Finding| {
            let place = it.line.map(|it| format!(":{it}")).unwrap_or_default();
            format!("{}{place}: {}: {}", self.path, it.severity.name(), it.note)
        };
        self.findings.iter().map(line).collect()
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl From<Review> for File {
    fn from(review: Review) -> Self {
        let (findings, error) = match review.findings {
            Ok(findings) => (findings, None),
            Err(fault) => (Vec::new(), Some(fault.into())),
        };
        let finding = |it: runabout_errands::Finding| Finding {
            line: it.line,
            severity: match it.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
                Severity::Note => Level::Note,
            },
            note: it.note,
        };
        Self {
            path: review.path,
            findings: findings.into_iter().map(finding).collect(),
            error,
            input_truncated: review.evidence.is_input_truncated,
            mean_logprob: review.evidence.mean_logprob.map(rounded),
        }
    }
}
