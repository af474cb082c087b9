//! `cancel`: stop a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;

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
