//! `cancel`: stop a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::protocol::{Method, Notification, Sender};

/// `cancel`.
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
    const SUMMARY: &'static str = "Stop a request, which is answered with a result and the text so far";
    const SENDER: Sender = Sender::Client;
    type Params = CancelParams;
}

/// `$/cancelRequest`.
pub enum CancelRequest {}

impl Notification for CancelRequest {
    const NAME: &'static str = "$/cancelRequest";
    const SUMMARY: &'static str = "Stop a request in LSP's way: it is answered with error -32800";
    const SENDER: Sender = Sender::Client;
    type Params = CancelParams;
}

/// Stops a request, which is then answered at once: with a result and the text so far when `cancel` stopped it,
/// with error -32800 and the text so far in `data.partial` when `$/cancelRequest` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelParams {
    /// The request to stop.
    pub id: RequestId,
}

/// What became of the request. Its own response is sent before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelResult {
    pub outcome: CancelOutcome,
    /// Tokens that the request had drawn; 0 when it is unknown.
    pub completion_tokens: u64,
}

/// What became of a request that was to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// It was running, or waiting, and has been stopped.
    Cancelled,
    /// It had been answered before.
    Finished,
    /// There is no such request, or it was answered long ago, or it is itself a `cancel`, which cannot be stopped.
    Unknown,
}
