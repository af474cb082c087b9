//! Why an item has no result: [`Fault`]. Its text is also what the model is told when it is asked again.

use std::sync::Arc;

/// What is wrong with an answer, or why there is none.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    #[error("it was cancelled")]
    Cancelled,
    #[error("the time budget was used up before the answer was complete")]
    OverBudget,
    #[error("the answer was cut off at {n_tokens} tokens before it was complete")]
    CutOff { n_tokens: usize },
    /// `limit` is what the model's context has room for.
    #[error("the file needs a prompt of {n_tokens} tokens, and the model's context has room for {limit}")]
    TooLong { n_tokens: usize, limit: usize },
    #[error("the answer is empty")]
    NoAnswer,
    #[error("the answer has no code block")]
    NoCode,
    #[error("the answer has no search-and-replace block")]
    NoBlocks,
    #[error("the SEARCH text of block {block} is empty")]
    EmptySearch { block: usize },
    #[error("the SEARCH text of block {block} is not in the file: it begins with `{line}`")]
    NotFound { block: usize, line: String },
    #[error(
        "the SEARCH text of block {block} is in the file {n_places} times, so it does not say which is meant: it begins with `{line}`"
    )]
    Ambiguous { block: usize, n_places: usize, line: String },
    #[error("the answer changes nothing")]
    NothingChanged,
    #[error("the changed code is not valid {language}: line {line} is `{text}`")]
    DoesNotParse { language: &'static str, line: usize, text: String },
    #[error("the answer leaves code out: `{line}`")]
    Elided { line: String },
    #[error("the answer lost `{name}`, which it must keep")]
    Lost { name: String },
    #[error("the answer changes `{line}`, which the instruction does not concern")]
    Touched { line: String },
    #[error("there is no `{name}` in the code")]
    NoSuchName { name: String },
    #[error("the name `{name}` is taken already")]
    NameTaken { name: String },
    #[error("the answer is none of the labels: `{answer}`")]
    NoLabel { answer: String },
    #[error("the answer is not valid JSON: {message}")]
    InvalidJson { message: String },
    #[error("the diff cannot be read: {message}")]
    InvalidDiff { message: String },
    #[error("the schema cannot be used: {message}")]
    InvalidSchema { message: String },
    #[error("the answer has no test of `{name}`")]
    NoTests { name: String },
    /// The model could not answer.
    #[error("{0}")]
    Model(Arc<runabout_assist::Error>),
}

impl Fault {
    /// A short name of the fault that does not change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::OverBudget => "over_budget",
            Self::CutOff { .. } => "cut_off",
            Self::TooLong { .. } => "too_long",
            Self::NoAnswer => "no_answer",
            Self::NoCode => "no_code",
            Self::NoBlocks => "no_blocks",
            Self::EmptySearch { .. } => "empty_search",
            Self::NotFound { .. } => "not_found",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NothingChanged => "nothing_changed",
            Self::DoesNotParse { .. } => "does_not_parse",
            Self::Elided { .. } => "elided",
            Self::Lost { .. } => "lost",
            Self::Touched { .. } => "touched",
            Self::NoSuchName { .. } => "no_such_name",
            Self::NameTaken { .. } => "name_taken",
            Self::NoLabel { .. } => "no_label",
            Self::InvalidJson { .. } => "invalid_json",
            Self::InvalidDiff { .. } => "invalid_diff",
            Self::InvalidSchema { .. } => "invalid_schema",
            Self::NoTests { .. } => "no_tests",
            Self::Model(_) => "model",
        }
    }

    /// Whether another answer can be better.
    pub(crate) fn is_answers(&self) -> bool {
        !matches!(
            self,
            Self::Cancelled
                | Self::OverBudget
                | Self::TooLong { .. }
                | Self::NoSuchName { .. }
                | Self::NameTaken { .. }
                | Self::InvalidDiff { .. }
                | Self::InvalidSchema { .. }
                | Self::Model(_)
        )
    }
}

impl From<runabout_assist::Error> for Fault {
    fn from(error: runabout_assist::Error) -> Self {
        Self::Model(Arc::new(error))
    }
}

impl From<runabout_assist::JobError> for Fault {
    fn from(error: runabout_assist::JobError) -> Self {
        runabout_assist::Error::from(error).into()
    }
}
