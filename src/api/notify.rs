//! What the worker says unasked: `delta`, `progress`, `status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorData;
use crate::id::RequestId;
use crate::initialize::ModelSummary;
use crate::status::{MemoryStatus, WorkerState};

/// A piece of the text of a request. Pieces come in order, and none after the response. Put together they
/// are the text of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeltaParams {
    /// The request that the text belongs to.
    pub id: RequestId,
    /// Counts the pieces of the request, from 0.
    pub seq: u64,
    /// Never empty; whole characters.
    pub text: String,
    /// The choice that the text belongs to, when `n` was above 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<u32>,
    /// True when the text belongs to the answer's `reasoning` and not to its `content`. Absent: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reasoning: bool,
}

/// How far something long has got. Comes at least every second while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressParams {
    /// The request that waits for it; absent when no single one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    pub stage: ProgressStage,
    /// So many units are done. Never falls within a stage.
    pub done: u64,
    /// Of so many; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    pub unit: ProgressUnit,
}

/// What takes so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressStage {
    /// The model is being fetched.
    Download,
    /// The model is being loaded.
    Load,
    /// A prompt is being computed.
    Prefill,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressUnit {
    Bytes,
    Tokens,
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
