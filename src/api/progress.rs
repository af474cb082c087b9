//! `progress`: how far a long operation has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::protocol::{Notification, Sender};

/// The notification `progress`.
pub enum Progress {}

impl Notification for Progress {
    const NAME: &'static str = "progress";
    const SUMMARY: &'static str = "How far a long operation has come";
    const SENDER: Sender = Sender::Worker;
    type Params = ProgressParams;
}

/// How far a long operation has come. Sent at least once a second while it runs; for stage `prefill`, when there is
/// progress to report, at most twice a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressParams {
    /// The request that waits for the operation; absent if it belongs to no single request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    pub stage: ProgressStage,
    /// The number of units that are done; never decreases within a stage.
    pub done: u64,
    /// The number of units in total; absent while it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    pub unit: ProgressUnit,
}

/// The operation whose progress is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressStage {
    /// The model is being downloaded.
    Download,
    /// The model is being loaded.
    Load,
    /// The model is reading a prompt.
    Prefill,
}

/// The unit of `done` and `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressUnit {
    Bytes,
    Tokens,
}
