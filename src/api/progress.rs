//! `progress`: how far something long has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::protocol::{Notification, Sender};

/// `progress`.
pub enum Progress {}

impl Notification for Progress {
    const NAME: &'static str = "progress";
    const SUMMARY: &'static str = "How far something long has got";
    const SENDER: Sender = Sender::Worker;
    type Params = ProgressParams;
}

/// How far something long has got. Comes at least every second while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressParams {
    /// The request that waits for it; absent when no single one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    pub stage: ProgressStage,
    /// So many units are done. Never falls within a stage.
    pub done: u64,
    /// Of so many; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    pub unit: ProgressUnit,
}

/// What takes so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressStage {
    /// The model is being fetched.
    Download,
    /// The model is being loaded.
    Load,
    /// A prompt is being computed.
    Prefill,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressUnit {
    Bytes,
    Tokens,
}
