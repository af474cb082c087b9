//! What is in the `data` of an error, and the codes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The codes of errors. Those from 1001 on have a `data` of [`ErrorData`].
pub mod codes {
    pub const PARSE_ERROR: i32 = -32700;
    pub const INVALID_REQUEST: i32 = -32600;
    pub const METHOD_NOT_FOUND: i32 = -32601;
    pub const INVALID_PARAMS: i32 = -32602;
    pub const INTERNAL_ERROR: i32 = -32603;
    /// The request was stopped by `$/cancelRequest`.
    pub const REQUEST_CANCELLED: i32 = -32800;
    pub const MODEL_LOAD_FAILED: i32 = 1001;
    pub const PROMPT_TOO_LONG: i32 = 1002;
    pub const OVERLOADED: i32 = 1003;
    pub const GENERATION_FAILED: i32 = 1004;
    pub const UNSUPPORTED: i32 = 1005;
    pub const SHUTTING_DOWN: i32 = 1006;
    pub const OUT_OF_MEMORY: i32 = 1007;
}

/// The kinds of errors that a request for work of the model may be answered with.
pub(crate) const WORK_ERRORS: &[&str] = &[
    "model_load_failed",
    "prompt_too_long",
    "overloaded",
    "generation_failed",
    "unsupported",
    "shutting_down",
    "out_of_memory",
    "request_cancelled",
];

/// The `data` of the worker's own errors. Clients branch on `kind`, and must be ready for one that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ErrorData {
    /// Code 1001. The model could not be loaded. The process stays, to be asked.
    ModelLoadFailed {
        /// What went wrong.
        cause: String,
        /// What may help.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Code 1002. The prompt does not fit the model's context. `chat` and mode `raw` never cut a prompt.
    PromptTooLong {
        /// Tokens of the prompt; the least that it can have, when its size alone is too much.
        prompt_tokens: u64,
        /// Tokens that it may have.
        limit: u64,
    },
    /// Code 1003. The queue is full; try again later.
    Overloaded {
        /// Requests that wait.
        queued: u64,
        /// The request's size in bytes, when it is the size of what waits that is too much.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needed_bytes: Option<u64>,
        /// How large it could have been.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        available_bytes: Option<u64>,
    },
    /// Code 1004. Something failed in this job; others go on.
    GenerationFailed {},
    /// Code 1005. The model, or this build, cannot do what was asked.
    Unsupported {
        /// The parameter that asks for it; absent when it is the method itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// Code 1006. The worker takes no more work.
    ShuttingDown {},
    /// Code 1007. It would not fit into memory, so it was not tried.
    OutOfMemory {
        /// What it would have taken.
        needed_bytes: u64,
        /// What there was.
        available_bytes: u64,
    },
}

impl ErrorData {
    /// The error code that goes with this data.
    pub fn code(&self) -> i32 {
        match self {
            ErrorData::ModelLoadFailed { .. } => codes::MODEL_LOAD_FAILED,
            ErrorData::PromptTooLong { .. } => codes::PROMPT_TOO_LONG,
            ErrorData::Overloaded { .. } => codes::OVERLOADED,
            ErrorData::GenerationFailed {} => codes::GENERATION_FAILED,
            ErrorData::Unsupported { .. } => codes::UNSUPPORTED,
            ErrorData::ShuttingDown {} => codes::SHUTTING_DOWN,
            ErrorData::OutOfMemory { .. } => codes::OUT_OF_MEMORY,
        }
    }
}

/// The `data` of error -32602.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidParamsData {
    /// The parameter, by its path, such as `messages[0].role`.
    pub field: String,
    /// The known parameter most like it, when this one is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

/// The `data` of error -32800.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelledData {
    /// The text so far.
    pub partial: String,
}
