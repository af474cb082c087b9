//! `delta`: a piece of the text of a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::protocol::{Notification, Sender};

/// `delta`.
pub enum Delta {}

impl Notification for Delta {
    const NAME: &'static str = "delta";
    const SUMMARY: &'static str = "A piece of the text of a request";
    const SENDER: Sender = Sender::Worker;
    type Params = DeltaParams;
}

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
