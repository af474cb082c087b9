//! `cancel`: stop a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::protocol::{Method, Notification, Sender};

/// The method `cancel`.
pub enum Cancel {}

impl Method for Cancel {
    const NAME: &'static str = "cancel";
    const SUMMARY: &'static str = "Stop a request";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = CancelParams;
    type Result = CancelResult;
}

/// The notification `cancel`.
pub enum CancelNotification {}

impl Notification for CancelNotification {
    const NAME: &'static str = "cancel";
    const SUMMARY: &'static str = "Stop a request; it is answered with a result that holds the text so far";
    const SENDER: Sender = Sender::Client;
    type Params = CancelParams;
}

/// The notification `$/cancelRequest`.
pub enum CancelRequest {}

impl Notification for CancelRequest {
    const NAME: &'static str = "$/cancelRequest";
    const SUMMARY: &'static str = "Stop a request as in LSP; it is answered with error -32800";
    const SENDER: Sender = Sender::Client;
    type Params = CancelParams;
}

/// Stops a running or waiting request, which is then answered at once. If `cancel` stopped it, the answer is a result
/// that holds the text so far; if `$/cancelRequest` did, it is error -32800 with the text so far in `data.partial`. A
/// stopped `tokenize`, which has no text so far, is answered with error -32800 in both cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelParams {
    /// The request to stop.
    pub id: RequestId,
}

/// What happened to the request. Its own response is sent before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelResult {
    pub outcome: CancelOutcome,
    /// The number of tokens that the request had generated; 0 if the request is unknown.
    pub completion_tokens: u64,
}

/// What happened to a request that was to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// It was running or waiting, and has been stopped.
    Cancelled,
    /// It had already been answered, or ended by itself before it could be stopped.
    Finished,
    /// There is no such request, it was answered too long ago, or it is itself a `cancel`, which cannot be stopped.
    Unknown,
}
