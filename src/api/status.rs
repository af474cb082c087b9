//! `status`: how the worker is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorData;
use crate::model::{ModelSummary, ServerInfo, WorkerState};
use crate::no_params::NoParams;
use crate::protocol::{Method, Notification, Sender};

/// `status`.
pub enum Status {}

impl Method for Status {
    const NAME: &'static str = "status";
    const SUMMARY: &'static str = "How the worker is";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = NoParams;
    type Result = StatusResult;
}

/// The notification `status`.
pub enum StatusChanged {}

impl Notification for StatusChanged {
    const NAME: &'static str = "status";
    const SUMMARY: &'static str = "The worker's state has changed, or memory has got short";
    const SENDER: Sender = Sender::Worker;
    type Params = StatusParams;
}

/// How the worker is, at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusResult {
    pub state: WorkerState,
    /// Why the model could not be loaded, in state `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorData>,
    pub server: ServerInfo,
    /// Since the process started.
    pub uptime_ms: u64,
    pub model: ModelSummary,
    /// Where the model runs, such as `cpu` or `gpu`; absent until it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    pub memory: MemoryStatus,
    pub queue: QueueStatus,
    pub cache: CacheStatus,
    pub speed: SpeedStatus,
}

/// The worker's state has changed, or memory has got short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusParams {
    pub state: WorkerState,
    /// The model, in state `ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// Why the model could not be loaded, in state `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorData>,
    /// Present when memory has got short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStatus>,
}

/// Memory that the model's device has given out, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryStatus {
    /// In use.
    pub active_bytes: u64,
    /// The most that was in use at a time.
    pub peak_bytes: u64,
    /// Freed, and kept for the next time.
    pub cache_bytes: u64,
    /// Of what is in use, the model's weights; absent until it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_bytes: Option<u64>,
    /// Of what is in use, the keys and values of requests, running and past.
    #[serde(default)]
    pub kv_bytes: u64,
    /// What the worker was told not to exceed; absent when it was told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
}

/// Work at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStatus {
    /// Jobs being worked on.
    pub running: u64,
    /// Jobs that wait.
    pub waiting: u64,
}

/// The cache of prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheStatus {
    /// Sequences that are kept.
    pub slots: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Memory that they take.
    pub bytes: u64,
    /// Prompts that were looked up since the start.
    #[serde(default)]
    pub lookups: u64,
    /// Those of which something was found.
    #[serde(default)]
    pub hits: u64,
    /// Tokens of all these prompts.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Those that were found.
    #[serde(default)]
    pub cached_tokens: u64,
}

/// Speed, measured over the last requests. Absent until there were any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpeedStatus {
    /// Prompt tokens that were not in the cache, by the time they took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens drawn, by the time they took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
}
