//! What a text cost, in the words and units of mlx_lm: [`Figures`].

use std::time::Duration;

use runabout_assist::{Finish, FinishReason};
use serde::Serialize;

/// The line that mlx_lm prints above its figures. Scripts search for it to find the figures.
const RULE: &str = "==========";

/// The figures of one text, named as in mlx_lm's `GenerationResponse`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) prompt_tokens: usize,
    /// Prompt tokens per second.
    pub(super) prompt_tps: f64,
    pub(super) generation_tokens: usize,
    /// Generated tokens per second. The first one is left out, since its time belongs to the prompt; mlx_lm counts it.
    pub(super) generation_tps: f64,
    /// Seconds from the submission to the first token.
    pub(super) first_token_seconds: Option<f64>,
    /// In GB.
    pub(super) peak_memory: f64,
    /// mlx_lm's `stop` and `length`, and what ends texts here only.
    pub(super) finish_reason: &'static str,
}

impl Figures {
    pub(super) fn of(finish: &Finish, peak_bytes: u64) -> Self {
        let rate = |n_tokens: usize, time: Duration| match time.as_secs_f64() {
            seconds if seconds > 0.0 => n_tokens as f64 / seconds,
            _ => 0.0,
        };
        let (usage, timing) = (finish.usage, finish.timing);
        Self {
            prompt_tokens: usage.prompt_tokens,
            // What was found in the cache took no time.
            prompt_tps: rate(usage.prompt_tokens.saturating_sub(usage.cached_tokens), timing.prefill),
            generation_tokens: usage.completion_tokens,
            generation_tps: rate(usage.completion_tokens.saturating_sub(1), timing.decode),
            first_token_seconds: timing.first_token.map(|it| it.as_secs_f64()),
            peak_memory: peak_bytes as f64 / 1e9,
            finish_reason: match finish.reason {
                FinishReason::Stop { .. } | FinishReason::Eos => "stop",
                FinishReason::Rule { .. } => "rule",
                FinishReason::Length => "length",
                FinishReason::Budget => "budget",
                FinishReason::Cancelled | FinishReason::Superseded => "cancelled",
                FinishReason::LowConfidence => "low_confidence",
            },
        }
    }

    /// mlx_lm's three lines below its rule.
    pub(super) fn lines(&self) -> String {
        format!(
            "{RULE}\nPrompt: {} tokens, {:.3} tokens-per-sec\nGeneration: {} tokens, {:.3} tokens-per-sec\nPeak memory: {:.3} GB\n",
            self.prompt_tokens,
            self.prompt_tps,
            self.generation_tokens,
            self.generation_tps,
            self.peak_memory,
        )
    }
}
