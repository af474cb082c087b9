//! The wire types of the native protocol, version 1.
//!
//! Read [`Method`] and [`methods`] first. Each method has a file with its params and its result; their doc comments are
//! written for authors of clients and become the descriptions in [`schema`] and [`openrpc`]. There is no logic here:
//! requirements beyond a type are stated in comments and checked by the worker. The types ignore unknown fields, as
//! clients must; the worker itself refuses unknown parameters (except names that begin with `x_`, and `_meta`, which
//! belong to the client).

mod cancel;
mod chat;
mod complete;
mod delta;
mod discover;
mod error;
mod format;
mod id;
mod initialize;
mod integers;
pub mod methods;
mod model;
mod names;
mod next_edit;
mod no_params;
pub mod notifications;
mod openrpc;
mod outcome;
mod progress;
mod protocol;
mod sampling;
mod schema;
mod shutdown;
mod status;
mod tokenize;
mod tools;
mod warm;

pub use cancel::{CancelOutcome, CancelParams, CancelResult};
pub use chat::{ChatParams, ChatResult, Content, Message, Role, TextPart, TextPartType};
pub use complete::{
    Choice, CompleteParams, CompleteResult, CompletionMode, CompletionRule, ContextFile, RuleSwitches,
};
pub use delta::DeltaParams;
pub use discover::OpenRpc;
pub use error::{CancelledData, ErrorData, InvalidParamsData, codes};
pub use format::{Incomplete, ResponseFormat};
pub use id::RequestId;
pub use initialize::{Capabilities, ClientInfo, InitializeParams, InitializeResult, Limits};
pub use model::{ModelSummary, ServerInfo, WorkerState};
pub use names::{method_names, notification_names};
pub use next_edit::{EditSource, NextEditFormat, NextEditParams, NextEditResult, RecentEdit, TextEdit};
pub use no_params::NoParams;
pub use openrpc::openrpc;
pub use outcome::{FinishReason, Priority, Speculation, Timing, TokenLogprobs, TopLogprob, Trimmed, Usage};
pub use progress::{ProgressParams, ProgressStage, ProgressUnit};
pub use protocol::{Method, Notification, PROTOCOL_VERSION, Sender};
pub use sampling::Sampling;
pub use schema::schema;
pub use status::{
    CacheStatus, ClientStatus, MemoryStatus, QueueStatus, SpeedStatus, StatusParams, StatusResult,
    SuggestionStatus,
};
pub use tokenize::{TokenizeParams, TokenizeResult};
pub use tools::{
    FunctionCall, FunctionDefinition, FunctionName, NamedTool, Tool, ToolCall, ToolCallError, ToolChoice,
    ToolChoiceMode, ToolType,
};
pub use warm::{WarmParams, WarmResult};

#[cfg(test)]
mod tests;
