//! `warm`: put the prompt of a later request into the cache.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat::ChatParams;
use crate::complete::CompleteParams;
use crate::error::WORK_ERRORS;
use crate::protocol::Method;

/// The method `warm`.
pub enum Warm {}

impl Method for Warm {
    const NAME: &'static str = "warm";
    const SUMMARY: &'static str = "Put the prompt of a later request into the cache";
    const ERRORS: &'static [&'static str] = WORK_ERRORS;
    type Params = WarmParams;
    type Result = WarmResult;
}

/// The params of a later `complete` or `chat` that should start fast; those of `chat` if `messages` is present. Only
/// the prompt is processed: parameters that concern the answer have no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WarmParams {
    Complete(Box<CompleteParams>),
    Chat(Box<ChatParams>),
}

/// The prompt is now in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WarmResult {
    /// The number of tokens of the prompt.
    pub prompt_tokens: u64,
    /// The number of those tokens that were already in the cache.
    pub cached_tokens: u64,
}
