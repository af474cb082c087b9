//! `warm`: put a prefix into the cache.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat::ChatParams;
use crate::complete::CompleteParams;
use crate::error::WORK_ERRORS;
use crate::protocol::Method;

/// `warm`.
pub enum Warm {}

impl Method for Warm {
    const NAME: &'static str = "warm";
    const SUMMARY: &'static str = "Put a prefix into the cache";
    const ERRORS: &'static [&'static str] = WORK_ERRORS;
    type Params = WarmParams;
    type Result = WarmResult;
}

/// The params of the `complete` or the `chat` that is to be fast later: those of `chat` if there are `messages`.
/// Only the prompt is computed; what would shape the answer makes no difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WarmParams {
    Complete(Box<CompleteParams>),
    Chat(Box<ChatParams>),
}

/// The prefix is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WarmResult {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Those of them that were in the cache already.
    pub cached_tokens: u64,
}
