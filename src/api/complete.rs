//! `complete`: text at the cursor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::WORK_ERRORS;
use crate::outcome::{FinishReason, Priority, Speculation, Timing, TokenLogprobs, Usage};
use crate::protocol::Method;
use crate::sampling::params_with_sampling;

/// `complete`.
pub enum Complete {}

impl Method for Complete {
    const NAME: &'static str = "complete";
    const SUMMARY: &'static str = "Text at the cursor";
    const ERRORS: &'static [&'static str] = WORK_ERRORS;
    type Params = CompleteParams;
    type Result = CompleteResult;
}

params_with_sampling! {
    /// Asks for text at the cursor: what stands between `prefix` and `suffix`, or what goes on after `prefix`.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct CompleteParams {
        /// The text before the cursor. In mode `raw` it is the prompt itself.
        pub prefix: String,
        /// The text behind the cursor. With it, a model that can fills in the middle; one that cannot goes on after `prefix`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub suffix: Option<String>,
        /// The path of the file, as the model should see it. It is not opened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub path: Option<String>,
        /// The programming language, such as `rust`; told from `path` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub language: Option<String>,
        /// Other files that help, the most relevant one last. What does not fit is left out from the front.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub context: Vec<ContextFile>,
        /// A key for the document: a newer `complete` with the same key takes the older one's place, which then
        /// ends with `superseded`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub document: Option<String>,
        /// Where the completion should end.
        #[serde(default)]
        pub mode: CompletionMode,
        /// Which rules hold. Mode `raw` has none.
        #[serde(default, skip_serializing_if = "RuleSwitches::is_default")]
        pub rules: RuleSwitches,
        /// Whether the word that the cursor stands behind is drawn again from its beginning, as part of tokens that
        /// may go on beyond the cursor. It is not part of the text. Mode `raw` leaves the prompt as it is.
        #[serde(default = "default_healing")]
        pub healing: bool,
        /// At most so many tokens are drawn.
        #[serde(default = "default_max_tokens")]
        #[schemars(range(min = 1))]
        pub max_tokens: u32,
        /// After so many milliseconds, waiting included, what there is by then is the result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        pub time_budget_ms: Option<u64>,
        /// How many texts to draw. At temperature 0 they would all be the same.
        #[serde(default = "default_n")]
        #[schemars(range(min = 1, max = 8))]
        pub n: u32,
        /// Whether the text comes in `delta` notifications as well; the result holds all of it either way.
        #[serde(default = "default_stream")]
        pub stream: bool,
        /// Which work goes first.
        #[serde(default = "default_priority")]
        pub priority: Priority,
        #[serde(default)]
        pub speculation: Speculation,
        /// Up to 16 strings that end the text and are not part of it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub stop: Vec<String>,
        /// Reports for each token how likely it was, and so many of the most likely ones. 0: only the token itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(max = 20))]
        pub logprobs: Option<u32>,
        /// Whether the result tells the text's token ids.
        #[serde(default)]
        pub return_tokens: bool,
    }
}

impl CompleteParams {
    /// The defaults, for code that makes requests.
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
            n: default_n(),
            stream: default_stream(),
            priority: default_priority(),
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
    /// As the model should see it. It is not opened.
    pub path: String,
    pub text: String,
}

/// Where a completion should end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompletionMode {
    /// At the end of the line, the statement or the block, as the place suggests.
    #[default]
    Auto,
    /// At the end of the line.
    Line,
    /// At the end of the block.
    Block,
    /// Nowhere in particular: `prefix` is the prompt as it is, without any rule.
    Raw,
}

/// Which of the rules for completions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleSwitches {
    /// These do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<CompletionRule>,
}

impl RuleSwitches {
    fn is_default(&self) -> bool {
        self.off.is_empty()
    }
}

/// What may end a completion before the model does. What a rule cuts is never given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompletionRule {
    /// The line is complete.
    Line,
    /// The statement is complete: its line, with every bracket closed that it opened.
    Statement,
    /// The block is complete: its closing line, or an empty line before one of the same level.
    Block,
    /// A line is less indented than the block that the cursor is in.
    Indentation,
    /// A bracket closes what `suffix` closes already, or what nobody opened.
    Bracket,
    /// The text begins to repeat `suffix`, word by word or nearly so.
    Suffix,
    /// The text repeats itself, or the lines before it.
    Repetition,
    /// There is nothing but white space.
    Blank,
}

/// The text at the cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompleteResult {
    /// The text of the first choice; all `delta`s of it put together.
    pub text: String,
    pub finish_reason: FinishReason,
    /// The rule that ended the text, when `finish_reason` is `rule`. Clients must be ready for one that they do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CompletionRule>,
    /// All texts that differ, the first one included, when `n` was above 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Choice>>,
    pub usage: Usage,
    pub timing: Timing,
    /// The token ids that were drawn, with `return_tokens`: those of `text`, and what healing drew again before it and
    /// rules cut behind it. An end token is not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry per token that was drawn, with `logprobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}

/// One of several texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// The `choice` of its `delta`s. Indices are missing where a text came a second time.
    pub index: u32,
    /// All `delta`s with this choice's index put together.
    pub text: String,
    pub finish_reason: FinishReason,
    /// The rule that ended the text, when `finish_reason` is `rule`. Clients must be ready for one that they do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CompletionRule>,
    /// The token ids that were drawn, with `return_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<u32>>,
    /// One entry per token that was drawn, with `logprobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprobs>>,
}
