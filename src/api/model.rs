//! What the worker says of itself and of its model, in `initialize` and in `status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The worker's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
}

/// The model, as far as it is known. While it loads, that may be its name alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelSummary {
    /// As the worker was told to load it, until it is known by a shorter name.
    pub name: String,
    /// Its family, such as `qwen2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Tokens that a prompt and its answer may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// Size of the weights in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_bytes: Option<u64>,
    /// Bits per weight; absent for plain weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization_bits: Option<u32>,
    /// What products with quantized weights are computed in, where that can be chosen: `f32`, `int16`, `int8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Whether `complete` uses `suffix` and `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_in_the_middle: Option<bool>,
    /// How `complete` asks the model: the family of its fill-in-the-middle format, such as `qwen`, or `continuation`
    /// for one that goes on after `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_format: Option<String>,
    /// Whether the model has a chat template, without which `chat` is `unsupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
}

/// Whether the worker can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// The model is being fetched or loaded. Work waits for it.
    Loading,
    Ready,
    /// The model could not be loaded. Work is answered with kind `model_load_failed`.
    Failed,
}
