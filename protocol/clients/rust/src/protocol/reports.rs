//! What the worker tells of itself: states, progress, text as it is generated, errors.
//!
//! The types of the protocol, written by `protocol/clients/generate.py` from `protocol/schema.json`: do not edit.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::RequestId;

/// The prompt cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// The number of cached sequences.
    pub slots: u64,
    /// The number of tokens in the cached sequences.
    pub tokens: u64,
    /// The memory that the cached sequences take, in bytes.
    pub bytes: u64,
    /// The number of prompts looked up since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookups: Option<u64>,
    /// The number of prompts of which at least a part was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
    /// The number of tokens of all prompts looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The number of those tokens that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
}

/// The `data` of error -32800.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CancelledData {
    /// The text generated so far.
    pub partial: String,
}

/// What the worker can do, independent of the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The names of the methods that the worker answers.
    pub methods: Vec<String>,
    /// The names of the notifications that the worker sends.
    pub notifications: Vec<String>,
    /// The supported types of `response_format`.
    pub response_formats: Vec<String>,
    /// Whether `n` may be greater than 1.
    pub choices: bool,
    /// Whether speculative decoding is supported.
    pub speculation: bool,
}

/// A client that is connected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The command that it started: `serve`, `lsp`, `mcp` or `acp`.
    pub command: String,
    /// The process that it started.
    pub pid: u32,
    /// Milliseconds since it connected.
    pub connected_ms: u64,
}

/// A piece of the text that a request generates. Pieces arrive in order and before the response; concatenated, they
/// are the text of the result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeltaParams {
    /// The request that the text belongs to.
    pub id: RequestId,
    /// The number of this piece within the request, counted from 0.
    pub seq: u64,
    /// The piece: whole characters, never empty.
    pub text: String,
    /// The index of the choice that the text belongs to; present if `n` is greater than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<u32>,
    /// Whether the text belongs to the answer's `reasoning` instead of its `content`. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
}

/// The `data` of the worker's own errors. Clients branch on `kind` and must accept unknown kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum ErrorData {
    /// Code 1001. The model could not be loaded. The worker keeps running and answers `status`.
    #[serde(rename = "model_load_failed")]
    ModelLoadFailed {
        /// What went wrong.
        cause: String,
        /// A possible remedy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Code 1002. The prompt does not fit into the model's context. `chat` and mode `raw` never shorten a prompt.
    #[serde(rename = "prompt_too_long")]
    PromptTooLong {
        /// The number of tokens of the prompt; a lower bound if its size in bytes is already too large.
        prompt_tokens: u64,
        /// The maximum number of tokens of the prompt.
        limit: u64,
    },
    /// Code 1003. The queue is full; try again later.
    #[serde(rename = "overloaded")]
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
    #[serde(rename = "generation_failed")]
    GenerationFailed,
    /// Code 1005. The model or this build does not support what was asked.
    #[serde(rename = "unsupported")]
    Unsupported {
        /// The parameter that is not supported; absent if the method itself is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// Code 1006. The worker is shutting down and refuses further requests.
    #[serde(rename = "shutting_down")]
    ShuttingDown,
    /// Code 1007. The request does not fit into memory and was refused before anything was allocated.
    #[serde(rename = "out_of_memory")]
    OutOfMemory {
        /// The memory that the request needs, in bytes.
        needed_bytes: u64,
        /// The memory that was available, in bytes.
        available_bytes: u64,
    },
    /// One that was not known when this library was written.
    #[serde(untagged)]
    Other(Value),
}

/// Introduces the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitializeResult {
    /// The protocol version that is used from now on.
    pub protocol_version: u32,
    pub server: ServerInfo,
    /// Whether the model is loaded. Requests sent before that wait for it.
    pub state: WorkerState,
    pub capabilities: Capabilities,
    pub limits: Limits,
    /// What is known of the model so far; once it is loaded, `status` has the rest.
    pub model: ModelSummary,
}

/// The `data` of error -32602.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InvalidParamsData {
    /// The path of the parameter, such as `messages[0].role`.
    pub field: String,
    /// The most similar known parameter; present if this one is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

/// The limits of this connection and its requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The maximum size of a message, in bytes. A larger one is answered with error -32007 and skipped.
    pub max_frame_bytes: u64,
    /// The maximum number of entries of a batch. A larger one is refused as a whole with error -32010.
    pub max_batch_entries: u64,
    /// The maximum number of unanswered requests. Further ones are refused with error -32009.
    pub max_in_flight: u64,
    /// The maximum number of waiting jobs. Further ones are refused with an error of kind `overloaded`.
    pub max_queued: u64,
    /// The maximum size in bytes of all waiting requests, and of running ones of `complete` with a `document`,
    /// together; a single request may be larger. Further ones are refused with an error of kind `overloaded`.
    pub max_queued_bytes: u64,
    /// The maximum of `max_tokens`.
    pub max_tokens: u64,
    /// The maximum of `n`.
    pub max_choices: u64,
    /// The maximum of `logprobs`.
    pub max_logprobs: u64,
    /// The maximum number of `stop` strings.
    pub max_stop_strings: u64,
}

/// Memory of the model's device, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// The memory in use.
    pub active_bytes: u64,
    /// The highest `active_bytes` since the start.
    pub peak_bytes: u64,
    /// Memory that was freed and is kept for reuse.
    pub cache_bytes: u64,
    /// The part of `active_bytes` that holds the model's weights; absent until the model is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_bytes: Option<u64>,
    /// The part of `active_bytes` that holds the keys and values of running requests and of cached prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_bytes: Option<u64>,
    /// The worker's memory limit; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
}

/// The model, as far as it is known. While the model loads, only `name` may be present.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// The model's name; until a shorter one is known, the reference by which the worker was told to load it.
    pub name: String,
    /// The model's architecture, such as `qwen2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The maximum number of tokens of a prompt and its answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// The size of the weights in memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_bytes: Option<u64>,
    /// Bits per weight; absent if the weights are not quantized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization_bits: Option<u32>,
    /// The arithmetic of products with quantized weights, where it can be chosen: `f32`, `int16` or `int8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Whether `complete` uses `suffix` and `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_in_the_middle: Option<bool>,
    /// How `complete` prompts the model: the name of its fill-in-the-middle format, such as `qwen`, or `continuation`
    /// if it can only continue `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_format: Option<String>,
    /// How `next_edit` asks the model: `sweep`, `sweep-v2`, `zeta-2`, `zeta-2.1` or `fill_in_the_middle`; absent if
    /// the model cannot predict edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_edit_format: Option<String>,
    /// Whether the model has a chat template. Without one, `chat` fails with an error of kind `unsupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
}

/// How far a long operation has come. Sent at least once a second while it runs; for stage `prefill`, when there is
/// progress to report, at most twice a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressParams {
    /// The request that waits for the operation; absent if it belongs to no single request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    pub stage: ProgressStage,
    /// The number of units that are done; never decreases within a stage.
    pub done: u64,
    /// The number of units in total; absent while it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    pub unit: ProgressUnit,
}

/// The operation whose progress is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressStage {
    /// The model is being downloaded.
    #[serde(rename = "download")]
    Download,
    /// The model is being loaded.
    #[serde(rename = "load")]
    Load,
    /// The model is reading a prompt.
    #[serde(rename = "prefill")]
    Prefill,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// The unit of `done` and `total`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressUnit {
    /// The unit of `done` and `total`.
    #[serde(rename = "bytes")]
    Bytes,
    /// The unit of `done` and `total`.
    #[serde(rename = "tokens")]
    Tokens,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}

/// The jobs of the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// The number of running jobs.
    pub running: u64,
    /// The number of waiting jobs.
    pub waiting: u64,
}

/// The worker's program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
}

/// Speed, measured over the last requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpeedStatus {
    /// Uncached prompt tokens processed per second; absent until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens generated per second; absent until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
}

/// The worker's state has changed, or memory is running short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusParams {
    pub state: WorkerState,
    /// The model, in state `ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// Why the model could not be loaded, in state `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorData>,
    /// Memory usage; present if memory is running short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStatus>,
}

/// The worker's current state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusResult {
    pub state: WorkerState,
    /// Why the model could not be loaded, in state `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorData>,
    pub server: ServerInfo,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
    pub model: ModelSummary,
    /// The device that the model runs on, such as `cpu` or `gpu`; absent until the model is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    pub memory: MemoryStatus,
    pub queue: QueueStatus,
    pub cache: CacheStatus,
    /// The number of tokens that the model has computed since the start, of prompts and of generated text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed_tokens: Option<u64>,
    pub speed: SpeedStatus,
    /// The clients that this process serves, this one included, in the order in which they came. Usually all clients
    /// with the same model and options share one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientStatus>,
    /// What became of the suggestions that this client was offered as an editor; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestions: Option<SuggestionStatus>,
}

/// Counts of suggestions. One that is typed through, piece by piece, is one suggestion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SuggestionStatus {
    /// The number of suggestions that the client was sent.
    pub offered: u64,
    /// The number of those that it has shown.
    pub shown: u64,
    /// The number of those that were accepted in full.
    pub accepted: u64,
    /// The number of those of which a part was accepted first.
    pub partially_accepted: u64,
    /// The number of those that were dismissed.
    pub dismissed: u64,
    /// The number of characters (Unicode scalar values) that were accepted.
    pub accepted_characters: u64,
    /// The number of suggestions that were accepted in full and were unchanged 30 seconds later, but for white space.
    pub retained: u64,
    /// The number of accepted suggestions that were looked at again after 30 seconds.
    pub retained_of: u64,
    /// The median time from showing a suggestion to accepting it, in milliseconds; absent if none was accepted in
    /// full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_to_accept_ms: Option<u64>,
}

/// The worker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerState {
    #[serde(rename = "ready")]
    Ready,
    /// The model is being downloaded or loaded. Requests that need it wait.
    #[serde(rename = "loading")]
    Loading,
    /// The model could not be loaded. Requests that need it fail with an error of kind `model_load_failed`.
    #[serde(rename = "failed")]
    Failed,
    /// A value that was not known when this library was written.
    #[serde(untagged)]
    Other(String),
}
