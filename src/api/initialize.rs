//! `initialize`: who is there, and what it can do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ModelSummary, ServerInfo, WorkerState};
use crate::protocol::Method;

/// `initialize`.
pub enum Initialize {}

impl Method for Initialize {
    const NAME: &'static str = "initialize";
    const SUMMARY: &'static str = "Who is there, and what it can do";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = InitializeParams;
    type Result = InitializeResult;
}

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
