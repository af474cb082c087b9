//! `complete`: complete the text at the cursor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::WORK_ERRORS;
use crate::format::{Incomplete, ResponseFormat};
use crate::outcome::{FinishReason, Priority, Speculation, Timing, TokenLogprobs, Usage};
use crate::protocol::Method;
use crate::sampling::params_with_sampling;

/// The method `complete`.
pub enum Complete {}

impl Method for Complete {
    const NAME: &'static str = "complete";
    const SUMMARY: &'static str = "Complete the text at the cursor";
    const ERRORS: &'static [&'static str] = WORK_ERRORS;
    type Params = CompleteParams;
    type Result = CompleteResult;
}

params_with_sampling! {
    /// Completes the text at the cursor: fills in between `prefix` and `suffix`, or continues `prefix`.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct CompleteParams {
        /// The text before the cursor. In mode `raw`, the prompt itself.
        pub prefix: String,
        /// The text after the cursor. A model with fill-in-the-middle generates what belongs between; one without it
        /// continues `prefix`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub suffix: Option<String>,
        /// The path of the file, as the model should see it. The file is not opened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub path: Option<String>,
        /// The programming language, such as `rust`. Default: derived from `path`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub language: Option<String>,
        /// Other relevant files, the most relevant one last. Those that do not fit are left out, the first ones first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub context: Vec<ContextFile>,
        /// A key for the document: a newer `complete` with the same key replaces the older one, which then ends with
        /// finish reason `superseded`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub document: Option<String>,
        /// Where the completion should end. Default: `auto`.
        #[serde(default)]
        pub mode: CompletionMode,
        /// Which completion rules apply. Default: all; in mode `raw`, none.
        #[serde(default, skip_serializing_if = "RuleSwitches::is_default")]
        pub rules: RuleSwitches,
        /// Whether the word before the cursor is generated again, so that a token may span the cursor. The repeated
        /// part is not included in the text. Has no effect in mode `raw`. Default: true.
        #[serde(default = "default_healing")]
        pub healing: bool,
        /// The maximum number of tokens to generate. Default: 128.
        #[serde(default = "default_max_tokens")]
        #[schemars(range(min = 1))]
        pub max_tokens: u32,
        /// The time limit in milliseconds, including waiting; when it is reached, the result is the text so far.
        /// Default: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        pub time_budget_ms: Option<u64>,
        /// How long computing the prompt may take, in milliseconds. If it would take longer, by the speed measured so far,
        /// the model sees only the text near the cursor (about 1.5 KB before it) and no `context`; `usage.trimmed` reports
        /// that. Has no effect on `warm` and in mode `raw`. Default: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub patience_ms: Option<u64>,
        /// The form that the text must have. With it, no rule ends the text. Default: any text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub response_format: Option<ResponseFormat>,
        /// The number of texts to generate. At temperature 0 they are all the same. Default: 1.
        #[serde(default = "default_n")]
        #[schemars(range(min = 1, max = 8))]
        pub n: u32,
        /// Withholds a text whose `confidence` is lower: its text is empty and its finish reason `low_confidence`. Until
        /// that is decided, at the latest when the first line or the text is complete, no `delta` is sent; generation
        /// stops as soon as it is certain. Default: 0 (nothing is withheld).
        #[serde(default)]
        #[schemars(range(min = 0, max = 1))]
        pub min_confidence: f64,
        /// Whether the text is also sent in `delta` notifications; the result holds all of it in any case. Default:
        /// true.
        #[serde(default = "default_stream")]
        pub stream: bool,
        /// The request's priority. Default: `interactive`.
        #[serde(default = "default_priority")]
        pub priority: Priority,
        #[serde(default)]
        pub speculation: Speculation,
        /// Up to 16 strings that end the text when they are generated; they are not included in it. Default: none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub stop: Vec<String>,
        /// Reports the log probability of each generated token, and of this number of the most likely tokens beside it;
        /// 0 reports the generated token only. Default: no report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(max = 20))]
        pub logprobs: Option<u32>,
        /// Whether the result includes the token ids of the text. Default: false.
        #[serde(default)]
        pub return_tokens: bool,
    }
}

impl CompleteParams {
    /// Params with the defaults.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            suffix: None,
            path: None,
            language: None,
            context: Vec::new(),
            document: None,
            mode: CompletionMode::default(),
            rules: RuleSwitches::default(),
            healing: default_healing(),
            max_tokens: default_max_tokens(),
            time_budget_ms: None,
            patience_ms: None,
            n: default_n(),
            min_confidence: 0.0,
            stream: default_stream(),
            priority: default_priority(),
            response_format: None,
            speculation: Speculation::default(),
            stop: Vec::new(),
            logprobs: None,
            return_tokens: false,
            temperature: None,
            top_p: None,
            top_k: None,
            min_p: None,
            min_tokens_to_keep: None,
            xtc_probability: None,
            xtc_threshold: None,
            repetition_penalty: None,
            repetition_context_size: None,
            presence_penalty: None,
            frequency_penalty: None,
            logit_bias: None,
            seed: None,
        }
    }
}

fn default_max_tokens() -> u32 {
    128
}

fn default_healing() -> bool {
    true
}

fn default_n() -> u32 {
    1
}

fn default_stream() -> bool {
    true
}

fn default_priority() -> Priority {
    Priority::Interactive
}

/// Another file that helps to complete this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContextFile {
    /// The path of the file, as the model should see it. The file is not opened.
    pub path: String,
    pub text: String,
}

/// Where a completion should end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompletionMode {
    /// At the end of the line, the statement or the block, depending on the code around the cursor.
    #[default]
    Auto,
    /// At the end of the line.
    Line,
    /// At the end of the block.
    Block,
    /// Where the model ends it: `prefix` is the prompt as it is, and no rules apply.
    Raw,
}

/// Which completion rules apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleSwitches {
    /// The rules that do not apply. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<CompletionRule>,
}

impl RuleSwitches {
    fn is_default(&self) -> bool {
        self.off.is_empty()
    }
}

/// A rule that may end a completion before the model does. Text that a rule cuts off is never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompletionRule {
    /// The line is complete.
    Line,
    /// The statement is complete: its line has ended, and every bracket that it opened is closed.
    Statement,
    /// The block is complete: its closing line has ended, or an empty line precedes a line of the same level.
    Block,
    /// A line is less indented than the block that the cursor is in.
    Indentation,
    /// A bracket closes what `suffix` already closes, or what was never opened.
    Bracket,
    /// The text begins to repeat `suffix`, literally or nearly.
    Suffix,
    /// The text repeats itself or the lines before it.
    Repetition,
    /// The text is nothing but white space.
    Blank,
}

/// The completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompleteResult {
    /// The text of the first choice: its `delta`s, concatenated.
    pub text: String,
    pub finish_reason: FinishReason,
    /// The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CompletionRule>,
    /// The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often that
    /// line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it was
    /// generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Present if `response_format` is given and the text was ended before it had that form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    /// All distinct texts, including the first one; present if `n` is greater than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Choice>>,
    pub usage: Usage,
    pub timing: Timing,
    /// The generated token ids, without the end token; present if `return_tokens` is set. Besides those of `text`, they
    /// include what healing generated again before it and what rules cut off after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry for each generated token; present if `logprobs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}

/// One of several texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// The index of the choice, as in `choice` of its `delta`s. Indices of repeated texts are left out.
    pub index: u32,
    /// The text: the `delta`s with this index, concatenated.
    pub text: String,
    pub finish_reason: FinishReason,
    /// The rule that ended the text; present if `finish_reason` is `rule`. Clients must accept unknown rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CompletionRule>,
    /// The probability that the model itself gives to the text's first line, from 0 to 1: the higher, the more often that
    /// line is what was meant. Absent if there is no text. If the text is withheld, the confidence as far as it was
    /// generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Present if `response_format` is given and the text was ended before it had that form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    /// The generated token ids; present if `return_tokens` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry for each generated token; present if `logprobs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}
