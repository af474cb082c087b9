//! What a tool's output says about how it came about: [`Evidence`] and [`FinishReason`].

use std::fmt::Write as _;
use std::time::Duration;

use runabout_assist::{self as assist, Finish, Outcome};
use schemars::JsonSchema;
use serde::Serialize;

use super::tool::Call;

/// What the text cost and how sure the model was.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Evidence {
    /// The model that wrote the text.
    pub(super) model: String,
    /// Tokens of the prompt.
    pub(super) prompt_tokens: u64,
    /// Tokens of the prompt that were computed before and not again.
    pub(super) cached_tokens: u64,
    /// Tokens that were generated.
    pub(super) completion_tokens: u64,
    /// The time from the call to its result.
    pub(super) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) generation_tokens_per_second: Option<f64>,
    /// The mean log probability of the text's tokens: near 0 if the model was sure, below -1 if it guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mean_logprob: Option<f64>,
}

/// Whether a file is well-formed code, as far as a grammar can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ParseCheck {
    language: String,
    /// The places where the file broke the grammar before.
    #[serde(skip_serializing_if = "Option::is_none")]
    faults_before: Option<u64>,
    /// The places where the new text breaks it.
    faults_now: u64,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FinishReason {
    Eos,
    Stop,
    Rule,
    Length,
    TimeLimit,
    Cancelled,
    Superseded,
    LowConfidence,
}

impl Evidence {
    /// The evidence for all texts of an outcome. They share one prompt, so its tokens count once.
    pub(super) fn of(outcome: &Outcome, call: &Call) -> Self {
        let finishes = &outcome.finishes;
        let (usage, timing) = finishes.first().map(|it| (it.usage, it.timing)).unwrap_or_default();
        let n_fed = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
        Self {
            model: call.client().app.model_name(),
            prompt_tokens: usage.prompt_tokens as u64,
            cached_tokens: usage.cached_tokens as u64,
            completion_tokens: finishes.iter().map(|it| it.usage.completion_tokens as u64).sum(),
            seconds: rounded(call.started.elapsed().as_secs_f64()),
            prompt_tokens_per_second: per_second(n_fed, timing.prefill),
            generation_tokens_per_second: per_second(
                usage.completion_tokens.saturating_sub(1),
                timing.decode,
            ),
            mean_logprob: finishes.first().and_then(mean_logprob),
        }
    }

    /// The evidence for several results together.
    pub(super) fn of_errand<'a>(
        all: impl Iterator<Item = &'a runabout_errands::Evidence>,
        call: &Call,
    ) -> Self {
        let mut sum = Self {
            model: call.client().app.model_name(),
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            seconds: rounded(call.started.elapsed().as_secs_f64()),
            prompt_tokens_per_second: None,
            generation_tokens_per_second: None,
            mean_logprob: None,
        };
        let (mut logprob, mut n_weighed) = (0.0, 0);
        for it in all {
            sum.prompt_tokens += it.prompt_tokens as u64;
            sum.cached_tokens += it.cached_tokens as u64;
            sum.completion_tokens += it.generated_tokens as u64;
            if let Some(mean) = it.mean_logprob.filter(|it| it.is_finite()) {
                logprob += mean * it.generated_tokens as f64;
                n_weighed += it.generated_tokens;
            }
        }
        sum.mean_logprob = (n_weighed > 0).then(|| rounded(logprob / n_weighed as f64));
        // Of all results together, since they came about at the same time.
        let n_generated = usize::try_from(sum.completion_tokens).unwrap_or(usize::MAX);
        sum.generation_tokens_per_second = per_second(n_generated, call.started.elapsed());
        sum
    }

    /// The evidence in one line, for people and for models that see only text.
    pub(super) fn line(&self) -> String {
        let mut line = format!(
            "{}, {} + {} tokens, {:.1} s",
            self.model, self.prompt_tokens, self.completion_tokens, self.seconds
        );
        if let Some(mean) = self.mean_logprob {
            let _ = write!(line, ", mean log probability {mean:.2}");
        }
        line
    }
}

impl From<&runabout_errands::ParseCheck> for ParseCheck {
    fn from(check: &runabout_errands::ParseCheck) -> Self {
        Self {
            language: check.language.clone(),
            faults_before: check.faults_before.map(|it| it as u64),
            faults_now: check.faults_now as u64,
        }
    }
}

impl From<assist::FinishReason> for FinishReason {
    fn from(reason: assist::FinishReason) -> Self {
        match reason {
            assist::FinishReason::Eos => Self::Eos,
            assist::FinishReason::Stop { .. } => Self::Stop,
            assist::FinishReason::Rule { .. } => Self::Rule,
            assist::FinishReason::Length => Self::Length,
            assist::FinishReason::Budget => Self::TimeLimit,
            assist::FinishReason::Cancelled => Self::Cancelled,
            assist::FinishReason::Superseded => Self::Superseded,
            assist::FinishReason::LowConfidence => Self::LowConfidence,
        }
    }
}

impl FinishReason {
    /// Whether the text would have gone on.
    pub(super) fn is_cut(self) -> bool {
        matches!(self, Self::Length | Self::TimeLimit | Self::Cancelled | Self::Superseded)
    }

    /// Its name in the output.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Stop => "stop",
            Self::Rule => "rule",
            Self::Length => "length",
            Self::TimeLimit => "time_limit",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::LowConfidence => "low_confidence",
        }
    }
}

/// The mean log probability of a text's tokens. A token that the model thinks impossible would make it infinite, which
/// JSON does not have.
pub(super) fn mean_logprob(finish: &Finish) -> Option<f64> {
    finish.likelihood.mean().filter(|it| it.is_finite()).map(rounded)
}

/// Rounded to thousandths; finer digits are noise.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn per_second(n_tokens: usize, time: Duration) -> Option<f64> {
    (n_tokens > 0 && !time.is_zero()).then(|| rounded(n_tokens as f64 / time.as_secs_f64()))
}
