//! `status`: the worker's state, as a method and as a notification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorData;
use crate::model::{ModelSummary, ServerInfo, WorkerState};
use crate::no_params::NoParams;
use crate::protocol::{Method, Notification, Sender};

/// The method `status`.
pub enum Status {}

impl Method for Status {
    const NAME: &'static str = "status";
    const SUMMARY: &'static str = "Get the worker's state, memory, queue, cache and speed";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = NoParams;
    type Result = StatusResult;
}

/// The notification `status`.
pub enum StatusChanged {}

impl Notification for StatusChanged {
    const NAME: &'static str = "status";
    const SUMMARY: &'static str = "The worker's state has changed, or memory is running short";
    const SENDER: Sender = Sender::Worker;
    type Params = StatusParams;
}

/// The worker's current state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(default)]
    pub computed_tokens: u64,
    pub speed: SpeedStatus,
    /// The clients that this process serves, this one included, in the order in which they came. Usually all clients with
    /// the same model and options share one process.
    #[serde(default)]
    pub clients: Vec<ClientStatus>,
    /// What became of the suggestions that this client was offered as an editor; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestions: Option<SuggestionStatus>,
}

/// Counts of suggestions. One that is typed through, piece by piece, is one suggestion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The median time from showing a suggestion to accepting it, in milliseconds; absent if none was accepted in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_to_accept_ms: Option<u64>,
}

/// A client that is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientStatus {
    /// The command that it started: `serve`, `lsp`, `mcp` or `acp`.
    pub command: String,
    /// The process that it started.
    pub pid: u32,
    /// Milliseconds since it connected.
    pub connected_ms: u64,
}

/// The worker's state has changed, or memory is running short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Memory of the model's device, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(default)]
    pub kv_bytes: u64,
    /// The worker's memory limit; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
}

/// The jobs of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStatus {
    /// The number of running jobs.
    pub running: u64,
    /// The number of waiting jobs.
    pub waiting: u64,
}

/// The prompt cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheStatus {
    /// The number of cached sequences.
    pub slots: u64,
    /// The number of tokens in the cached sequences.
    pub tokens: u64,
    /// The memory that the cached sequences take, in bytes.
    pub bytes: u64,
    /// The number of prompts looked up since the start.
    #[serde(default)]
    pub lookups: u64,
    /// The number of prompts of which at least a part was found.
    #[serde(default)]
    pub hits: u64,
    /// The number of tokens of all prompts looked up.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// The number of those tokens that were found.
    #[serde(default)]
    pub cached_tokens: u64,
}

/// Speed, measured over the last requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpeedStatus {
    /// Uncached prompt tokens processed per second; absent until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens generated per second; absent until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
}
