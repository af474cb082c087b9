//! Converts the types of [`runabout_assist`] to those of the protocol.

use std::time::Duration;

use runabout_api::{self as api, ErrorData, WorkerState};
use runabout_assist::{
    CallFault, Finish, FinishReason, JobError, OpenJson, Outcome, Rule, State, Trimmed, Turn,
};
use runabout_text::Tokenizer;

use crate::dialects::rounding::rounded;

pub(super) fn worker_state(state: &State) -> WorkerState {
    match state {
        State::Loading(_) => WorkerState::Loading,
        State::Ready(_) => WorkerState::Ready,
        State::Failed(_) => WorkerState::Failed,
    }
}

pub(super) fn finish_reason(reason: FinishReason) -> api::FinishReason {
    match reason {
        FinishReason::Stop { .. } => api::FinishReason::Stop,
        FinishReason::Rule { .. } => api::FinishReason::Rule,
        FinishReason::Eos => api::FinishReason::Eos,
        FinishReason::Length => api::FinishReason::Length,
        FinishReason::Budget => api::FinishReason::Budget,
        FinishReason::Cancelled => api::FinishReason::Cancelled,
        FinishReason::Superseded => api::FinishReason::Superseded,
        FinishReason::LowConfidence => api::FinishReason::LowConfidence,
    }
}

pub(super) fn rule(rule: Rule) -> api::CompletionRule {
    match rule {
        Rule::Line => api::CompletionRule::Line,
        Rule::Statement => api::CompletionRule::Statement,
        Rule::Block => api::CompletionRule::Block,
        Rule::Indentation => api::CompletionRule::Indentation,
        Rule::Bracket => api::CompletionRule::Bracket,
        Rule::Suffix => api::CompletionRule::Suffix,
        Rule::Repetition => api::CompletionRule::Repetition,
        Rule::Blank => api::CompletionRule::Blank,
    }
}

/// Where a text was ended before it had the form of `response_format`.
pub(super) fn incomplete(finish: &Finish, is_json: bool) -> Option<api::Incomplete> {
    if !finish.is_incomplete {
        return None;
    }
    let open = is_json.then(|| OpenJson::of(finish.text.trim_start()));
    Some(api::Incomplete {
        pointer: open.as_ref().map(|it| it.pointer.clone()),
        open: open.map(|it| it.open),
    })
}

/// The message of a turn.
pub(super) fn message(turn: &Turn) -> api::Message {
    let calls = turn.calls.iter().map(|it| api::ToolCall {
        id: it.id.clone().unwrap_or_default(),
        kind: api::ToolType::Function,
        function: api::FunctionCall {
            name: it.name.clone(),
            arguments: it.arguments.as_object().cloned().unwrap_or_default(),
        },
        index: None,
    });
    let tool_calls: Vec<_> = calls.collect();
    let says_nothing = turn.content.is_empty() && !tool_calls.is_empty();
    api::Message {
        content: (!says_nothing).then(|| api::Content::Text(turn.content.clone())),
        reasoning: (!turn.reasoning.is_empty()).then(|| turn.reasoning.clone()),
        tool_calls,
        ..api::Message::new(api::Role::Assistant, "")
    }
}

pub(super) fn tool_call_error(fault: &CallFault) -> api::ToolCallError {
    api::ToolCallError { message: fault.reason.clone(), text: fault.text.clone() }
}

/// The confidence in a text.
pub(super) fn confidence(finish: &Finish) -> Option<f64> {
    finish.likelihood.confidence().map(rounded)
}

/// The token counts of all choices together. They share one prompt, so its tokens count once.
pub(super) fn usage(outcome: &Outcome) -> api::Usage {
    let Outcome { finishes, trimmed, .. } = outcome;
    let sum = |of: fn(&Finish) -> usize| finishes.iter().map(|it| of(it) as u64).sum();
    let first = finishes.first().map(|it| it.usage).unwrap_or_default();
    api::Usage {
        prompt_tokens: first.prompt_tokens as u64,
        cached_tokens: first.cached_tokens as u64,
        completion_tokens: sum(|it| it.usage.completion_tokens),
        drafted_tokens: sum(|it| it.usage.drafted_tokens),
        accepted_tokens: sum(|it| it.usage.accepted_tokens),
        trimmed: (*trimmed != Trimmed::default()).then_some(api::Trimmed {
            prefix_chars: trimmed.prefix_chars as u64,
            suffix_chars: trimmed.suffix_chars as u64,
            context_files: trimmed.context_files as u64,
        }),
    }
}

/// The times and rates of the first choice. Times start at the request's arrival.
pub(super) fn timing(outcome: &Outcome) -> api::Timing {
    // Rounded to microseconds and to thousandths of a token per second; finer digits are noise.
    let ms = |it: Duration| (it.as_secs_f64() * 1e6).round() / 1e3;
    let per_second = |n_tokens: usize, it: Duration| {
        (n_tokens > 0 && !it.is_zero()).then(|| (n_tokens as f64 / it.as_secs_f64() * 1e3).round() / 1e3)
    };
    let (waited, finish) = (outcome.waited, &outcome.finishes[0]);
    let (usage, timing) = (finish.usage, finish.timing);
    api::Timing {
        queue_ms: ms(waited + timing.queue),
        prefill_ms: ms(timing.prefill),
        first_token_ms: timing.first_token.map(|it| ms(waited + it)),
        decode_ms: ms(timing.decode),
        total_ms: ms(waited + timing.total),
        prompt_tokens_per_second: per_second(
            usage.prompt_tokens.saturating_sub(usage.cached_tokens),
            timing.prefill,
        ),
        generation_tokens_per_second: per_second(usage.completion_tokens.saturating_sub(1), timing.decode),
    }
}

pub(super) fn logprobs(finish: &Finish, tokenizer: &Tokenizer) -> Vec<api::TokenLogprobs> {
    let text = |token| tokenizer.decode(&[token]);
    let tokens = finish.tokens.iter().zip(&finish.logprobs);
    tokens
        .map(|(&token, it)| api::TokenLogprobs {
            token,
            text: text(token),
            logprob: it.logprob,
            top: it
                .top
                .iter()
                .map(|&(token, logprob)| api::TopLogprob { token, text: text(token), logprob })
                .collect(),
        })
        .collect()
}

pub(super) fn error_data(error: &JobError) -> ErrorData {
    match error {
        JobError::PromptTooLong { n_tokens, limit } => {
            ErrorData::PromptTooLong { prompt_tokens: *n_tokens as u64, limit: *limit as u64 }
        }
        JobError::UnknownToken { .. } | JobError::CannotDrop { .. } => ErrorData::Unsupported { field: None },
        JobError::Overloaded { n_queued } => {
            ErrorData::Overloaded { queued: *n_queued as u64, needed_bytes: None, available_bytes: None }
        }
        JobError::OutOfMemory { needed_bytes, available_bytes }
        | JobError::ModelTooLarge { needed_bytes, available_bytes } => {
            ErrorData::OutOfMemory { needed_bytes: *needed_bytes, available_bytes: *available_bytes }
        }
        JobError::StepFailed { .. } | JobError::FormatFailed(_) | JobError::EngineDied { .. } => {
            ErrorData::GenerationFailed {}
        }
        JobError::ShuttingDown => ErrorData::ShuttingDown {},
        JobError::LoadFailed { message } => match message.split_once("\nhint: ") {
            Some((cause, hint)) => {
                ErrorData::ModelLoadFailed { cause: cause.to_owned(), hint: Some(hint.to_owned()) }
            }
            None => ErrorData::ModelLoadFailed { cause: message.clone(), hint: None },
        },
    }
}
