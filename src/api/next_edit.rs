//! `next_edit`: predict what will be changed next.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::complete::ContextFile;
use crate::error::WORK_ERRORS;
use crate::outcome::{FinishReason, Priority, Speculation, Timing, Usage};
use crate::protocol::Method;

/// The method `next_edit`.
pub enum NextEdit {}

impl Method for NextEdit {
    const NAME: &'static str = "next_edit";
    const SUMMARY: &'static str = "Predict the next edit near the cursor";
    const ERRORS: &'static [&'static str] = WORK_ERRORS;
    type Params = NextEditParams;
    type Result = NextEditResult;
}

/// Predicts what will be changed next near the cursor, from what was changed before. A model made for that rewrites the
/// lines around the cursor; one that fills in the middle inserts text at the place of the latest edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextEditParams {
    /// The document before the cursor. If it is not all of it, it begins at the beginning of a line.
    pub prefix: String,
    /// The document after the cursor.
    #[serde(default)]
    pub suffix: String,
    /// The path of the file, as the model should see it. The file is not opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The programming language, such as `rust`. Default: derived from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextFile>,
    /// What was changed recently, the latest change last. Those that do not fit are left out, the oldest ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<RecentEdit>,
    /// How the model is asked. Default: `auto`.
    #[serde(default)]
    pub format: NextEditFormat,
    /// The maximum number of tokens to generate. An answer that is cut off before it has come back to unchanged lines is
    /// of no use. Default: 1024.
    #[serde(default = "default_max_tokens")]
    #[schemars(range(min = 1))]
    pub max_tokens: u32,
    /// The time limit in milliseconds, including waiting. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub time_budget_ms: Option<u64>,
    /// Withholds edits whose `confidence` is lower: `edits` is empty then and the finish reason `low_confidence`.
    /// Default: 0 (nothing is withheld).
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub min_confidence: f64,
    /// The request's priority. Default: `interactive`.
    #[serde(default = "default_priority")]
    pub priority: Priority,
    #[serde(default)]
    pub speculation: Speculation,
}

impl NextEditParams {
    /// Params with the defaults.
    pub fn new(prefix: impl Into<String>, suffix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            suffix: suffix.into(),
            path: None,
            language: None,
            context: Vec::new(),
            edits: Vec::new(),
            format: NextEditFormat::default(),
            max_tokens: default_max_tokens(),
            time_budget_ms: None,
            min_confidence: 0.0,
            priority: default_priority(),
            speculation: Speculation::default(),
        }
    }
}

fn default_max_tokens() -> u32 {
    1024
}

fn default_priority() -> Priority {
    Priority::Interactive
}

/// A change that a person has made: some whole lines of a file took the place of others. The end of the last line may be
/// missing, and an empty text is no line at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentEdit {
    /// The path of the file that was changed. Default: the document itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The lines before the change.
    pub original: String,
    /// The lines after the change.
    pub updated: String,
    /// The line of the document at which `updated` begins now, counted from 0 at the beginning of `prefix`. Only for
    /// changes of the document itself. Default: the line nearest to the cursor where `updated` stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// How a model is asked for the next edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NextEditFormat {
    /// Decided by the model's name and its vocabulary.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// As Sweep's next-edit models of the first version.
    #[serde(rename = "sweep")]
    Sweep,
    /// As the second version of Sweep's models.
    #[serde(rename = "sweep-v2")]
    SweepV2,
    /// As Zed's Zeta 2.
    #[serde(rename = "zeta-2")]
    Zeta2,
    /// As Zed's Zeta 2.1.
    #[serde(rename = "zeta-2.1")]
    Zeta21,
    /// By filling in the middle.
    #[serde(rename = "fill_in_the_middle")]
    FillInTheMiddle,
}

/// What will probably be changed next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextEditResult {
    /// The edits, in ascending order and without overlap; empty if nothing is to be changed. All of them refer to the
    /// document as it was sent.
    pub edits: Vec<TextEdit>,
    /// Where the first edit begins, in characters as `start`: the place to jump to. Absent without edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump_to: Option<u64>,
    /// Where the edits come from; absent if the request ended before the model was asked. Clients must accept unknown
    /// sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<EditSource>,
    /// The probability that the model itself gives to the first line that it changes, from where it changes it, from 0
    /// to 1. Absent if it changes nothing, or removes the last lines that it was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    pub finish_reason: FinishReason,
    pub usage: Usage,
    pub timing: Timing,
}

/// A piece of the document that is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TextEdit {
    /// Where it begins: the number of characters (Unicode scalar values) before it in `prefix` and `suffix` together.
    pub start: u64,
    /// Where it ends, in the same way; equal to `start` for an insertion.
    pub end: u64,
    /// The text that takes its place, with the line ends of the document; empty for a removal.
    pub text: String,
}

/// Where edits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EditSource {
    /// From a model that predicts edits, asked in the format of Sweep's models.
    #[serde(rename = "sweep")]
    Sweep,
    /// In the format of their second version.
    #[serde(rename = "sweep-v2")]
    SweepV2,
    /// In the format of Zeta 2.
    #[serde(rename = "zeta-2")]
    Zeta2,
    /// In the format of Zeta 2.1.
    #[serde(rename = "zeta-2.1")]
    Zeta21,
    /// From a model that fills in the middle: one insertion, at the place of the latest edit.
    #[serde(rename = "fill_in_the_middle")]
    FillInTheMiddle,
}
