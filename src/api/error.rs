//! The error codes, and the types of their `data`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The codes of errors. Errors with the codes from 1001 on have [`ErrorData`] as their `data`.
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

/// The kinds of errors of methods that use the model.
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

/// The `data` of the worker's own errors. Clients branch on `kind` and must accept unknown kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ErrorData {
    /// Code 1001. The model could not be loaded. The worker keeps running and answers `status`.
    ModelLoadFailed {
        /// What went wrong.
        cause: String,
        /// A possible remedy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Code 1002. The prompt does not fit into the model's context. `chat` and mode `raw` never shorten a prompt.
    PromptTooLong {
        /// The number of tokens of the prompt; a lower bound if its size in bytes is already too large.
        prompt_tokens: u64,
        /// The maximum number of tokens of the prompt.
        limit: u64,
    },
    /// Code 1003. The queue is full; try again later.
    Overloaded {
        /// The number of waiting requests.
        queued: u64,
        /// The size of the request in bytes; present if the total size of requests is the limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needed_bytes: Option<u64>,
        /// The size in bytes that would have been accepted; present with `needed_bytes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        available_bytes: Option<u64>,
    },
    /// Code 1004. Generation failed for this request; others continue.
    GenerationFailed {},
    /// Code 1005. The model or this build does not support what was asked.
    Unsupported {
        /// The parameter that is not supported; absent if the method itself is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// Code 1006. The worker is shutting down and refuses further requests.
    ShuttingDown {},
    /// Code 1007. The request does not fit into memory and was refused before anything was allocated.
    OutOfMemory {
        /// The memory that the request needs, in bytes.
        needed_bytes: u64,
        /// The memory that was available, in bytes.
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
    /// The path of the parameter, such as `messages[0].role`.
    pub field: String,
    /// The most similar known parameter; present if this one is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

/// The `data` of error -32800.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelledData {
    /// The text generated so far.
    pub partial: String,
}
