//! `initialize`: what the worker is and can do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ModelSummary, ServerInfo, WorkerState};
use crate::protocol::Method;

/// The method `initialize`.
pub enum Initialize {}

impl Method for Initialize {
    const NAME: &'static str = "initialize";
    const SUMMARY: &'static str = "Introduce the client; get the worker's capabilities, limits and model";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = InitializeParams;
    type Result = InitializeResult;
}

/// Introduces the client. Optional, and answered at once, even while the model loads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializeParams {
    /// The client, for the worker's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
    /// The protocol version that the client prefers. The result has the version that is used; a client that does not
    /// support it should end the connection.
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

/// What the worker can do, independent of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The limits of this connection and its requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// The maximum size of a message, in bytes. A larger one is answered with error -32007 and skipped.
    pub max_frame_bytes: u64,
    /// The maximum number of entries of a batch. A larger one is refused as a whole with error -32010.
    pub max_batch_entries: u64,
    /// The maximum number of unanswered requests. Further ones are refused with error -32009.
    pub max_in_flight: u64,
    /// The maximum number of waiting jobs. Further ones are refused with an error of kind `overloaded`.
    pub max_queued: u64,
    /// The maximum size in bytes of all waiting requests, and of running ones of `complete` with a `document`, together;
    /// a single request may be larger. Further ones are refused with an error of kind `overloaded`.
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
