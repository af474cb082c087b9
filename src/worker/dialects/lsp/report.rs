//! What became of an inline completion, for the client's notification `runabout/completion`, the log and
//! `runabout.info`.

use std::time::Duration;

use runabout_assist::{Error, JobError, Outcome};
use serde::Serialize;

/// What became of one inline completion.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<i64>,
    pub(super) outcome: OutcomeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    /// One plain sentence for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutcomeKind {
    Offered,
    #[default]
    Nothing,
}

/// Why nothing is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Disabled,
    Superseded,
    Cancelled,
    LowConfidence,
    Empty,
    Loading,
    Overloaded,
    TooLong,
    UnknownDocument,
    Failed,
}

/// What became of a request for the next edit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NextEditReport {
    pub(super) outcome: OutcomeKind,
    /// Why nothing is offered: one plain sentence for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

/// The costs of a completion, and how sure the model is of it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confidence: Option<f64>,
    /// From the request's arrival on, as `total_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_token_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cached_tokens: Option<usize>,
    /// Present if only the text near the cursor was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left_out_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completion_tokens: Option<usize>,
}

/// That nothing is offered, and why.
#[derive(Clone, Debug)]
pub(super) struct Nothing {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) figures: Box<Figures>,
}

impl Nothing {
    pub(super) fn because(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), figures: Box::default() }
    }

    /// That the assistant refused the completion or could not finish it.
    pub(super) fn from_error(error: &Error) -> Self {
        let reason = match error {
            Error::NoRoom { .. } | Error::Job(JobError::Overloaded { .. }) => Reason::Overloaded,
            Error::Job(JobError::PromptTooLong { .. }) => Reason::TooLong,
            _ => Reason::Failed,
        };
        Self::because(reason, first_upper(&error.to_string()))
    }
}

impl Figures {
    /// The costs of the first text. `asked` is the time that passed since the request arrived.
    pub(super) fn of(outcome: &Outcome, asked: Duration) -> Self {
        let Some(finish) = outcome.finishes.first() else { return Self::default() };
        let ms = |it: Duration| (it.as_secs_f64() * 1e6).round() / 1e3;
        let (usage, timing) = (finish.usage, finish.timing);
        // The wait before the run began comes first.
        let before = asked.saturating_sub(timing.total);
        let n_decoded = usage.completion_tokens.saturating_sub(1);
        Self {
            confidence: None,
            first_token_ms: timing.first_token.map(|it| ms(before + it)),
            total_ms: Some(ms(asked)),
            tokens_per_second: (n_decoded > 0 && !timing.decode.is_zero())
                .then(|| (n_decoded as f64 / timing.decode.as_secs_f64() * 10.0).round() / 10.0),
            prompt_tokens: Some(usage.prompt_tokens),
            cached_tokens: Some(usage.cached_tokens),
            left_out_tokens: Some(usage.left_out_tokens).filter(|it| *it > 0),
            completion_tokens: Some(usage.completion_tokens),
        }
    }
}

/// The text with its first letter in upper case, as a sentence begins. A hint's line becomes part of it.
pub(super) fn first_upper(text: &str) -> String {
    let text = text.replace("\nhint: ", "; ");
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
