//! `delta`: a piece of the text of a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::protocol::{Notification, Sender};

/// The notification `delta`.
pub enum Delta {}

impl Notification for Delta {
    const NAME: &'static str = "delta";
    const SUMMARY: &'static str = "A piece of the text that a request generates";
    const SENDER: Sender = Sender::Worker;
    type Params = DeltaParams;
}

/// A piece of the text that a request generates. Pieces arrive in order and before the response; concatenated, they
/// are the text of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeltaParams {
    /// The request that the text belongs to.
    pub id: RequestId,
    /// The number of this piece within the request, counted from 0.
    pub seq: u64,
    /// The piece: whole characters, never empty.
    pub text: String,
    /// The index of the choice that the text belongs to; present if `n` is greater than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<u32>,
    /// Whether the text belongs to the answer's `reasoning` instead of its `content`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reasoning: bool,
}
