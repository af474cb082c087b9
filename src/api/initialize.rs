//! `initialize`: who is there, and what it can do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::WorkerState;

/// Introduces the client. Optional; answered at once, while the model loads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializeParams {
    /// Who asks, for the worker's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
    /// The version that the client would like to speak. The result tells which one is spoken; a client that
    /// cannot speak it should end the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<u32>,
}

/// The client's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientInfo {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Introduces the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializeResult {
    /// The version that is spoken from now on.
    pub protocol_version: u32,
    pub server: ServerInfo,
    /// Whether the model is there yet. Work sent before waits for it.
    pub state: WorkerState,
    pub capabilities: Capabilities,
    pub limits: Limits,
    /// What is known of the model by now; `status` tells the rest once it is loaded.
    pub model: ModelSummary,
}

/// The worker's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
}

/// What the worker can do, whatever the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capabilities {
    /// The methods that it answers.
    pub methods: Vec<String>,
    /// The notifications that it sends.
    pub notifications: Vec<String>,
    /// The types of `response_format` that it can hold a text to.
    pub response_formats: Vec<String>,
    /// Whether `n` may be above 1.
    pub choices: bool,
    /// Whether tokens are ever drafted.
    pub speculation: bool,
}

/// Bounds that hold for every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// A larger message is answered with error -32007 and skipped.
    pub max_frame_bytes: u64,
    /// A batch with more entries is refused whole, with error -32010.
    pub max_batch_entries: u64,
    /// Further requests are refused, with error -32009.
    pub max_in_flight: u64,
    /// Jobs that may wait; further ones are refused with kind `overloaded`.
    pub max_queued: u64,
    /// Bytes that the requests may have together that wait, or run; one alone may have more. Further ones are refused with
    /// kind `overloaded`.
    pub max_queued_bytes: u64,
    /// The highest `max_tokens`.
    pub max_tokens: u64,
    /// The highest `n`.
    pub max_choices: u64,
    /// The highest `logprobs`.
    pub max_logprobs: u64,
    /// The most `stop` strings.
    pub max_stop_strings: u64,
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
