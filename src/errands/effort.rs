//! How much may be spent on an errand: [`Effort`].

use std::time::Duration;

use runabout_assist::Priority;

/// Limits and choices that all errands have.
#[derive(Clone, Debug, PartialEq)]
pub struct Effort {
    /// The most tokens that one answer may have; `None` lets the errand decide by what it expects.
    pub max_tokens: Option<u32>,
    /// The most time for one answer, waiting included.
    pub time_budget: Option<Duration>,
    pub priority: Priority,
    /// The seed of what is drawn. Errands take the most likely answer today, so it changes nothing yet.
    pub seed: Option<u64>,
    /// How many answers are generated at once, at least 1. They share the model's steps.
    pub n_parallel: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            max_tokens: None,
            time_budget: None,
            priority: Priority::Background,
            seed: None,
            n_parallel: 8,
        }
    }
}
