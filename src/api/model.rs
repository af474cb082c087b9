//! What the worker reports of itself and its model, in `initialize` and in `status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The worker's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
}

/// The model, as far as it is known. While the model loads, only `name` may be present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// How `next_edit` asks the model: `sweep`, `sweep-v2`, `zeta-2`, `zeta-2.1` or `fill_in_the_middle`; absent if the
    /// model cannot predict edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_edit_format: Option<String>,
    /// Whether the model has a chat template. Without one, `chat` fails with an error of kind `unsupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
}

/// The worker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// The model is being downloaded or loaded. Requests that need it wait.
    Loading,
    Ready,
    /// The model could not be loaded. Requests that need it fail with an error of kind `model_load_failed`.
    Failed,
}
