//! Between the wire's types and the engine's, both ways, in this one place.

use std::borrow::Cow;
use std::time::Duration;

use runabout_api::{self as api, ErrorData, WorkerState};
use runabout_engine::{Finish, FinishReason, JobError, Priority, State};
use runabout_rpc::{ErrorObject, ErrorObjectOwned};
use runabout_text::{self as text, Rule, SamplingParams, TextError, Tokenizer, Trimmed};
use serde_json::Value;

use crate::held::NoRoom;

/// An error with the worker's own code.
pub(crate) fn error(message: impl Into<String>, data: ErrorData) -> ErrorObjectOwned {
    ErrorObject::owned(data.code(), message, Some(data))
}

/// A parameter that is wrong beyond its type.
pub(crate) fn invalid(field: &str, message: impl Into<String>) -> ErrorObjectOwned {
    let data = api::InvalidParamsData { field: field.to_owned(), nearest: None };
    ErrorObject::owned(api::codes::INVALID_PARAMS, message, Some(data))
}

/// Something that this build or this model cannot do.
pub(crate) fn unsupported(field: Option<&str>, message: impl Into<String>) -> ErrorObjectOwned {
    error(message, ErrorData::Unsupported { field: field.map(str::to_owned) })
}

/// The answer to a request that `$/cancelRequest` stopped.
pub(crate) fn request_cancelled(partial: String) -> ErrorObjectOwned {
    let data = api::CancelledData { partial };
    ErrorObject::owned(api::codes::REQUEST_CANCELLED, "request cancelled", Some(data))
}

pub(crate) fn shutting_down() -> ErrorObjectOwned {
    error("the worker is shutting down", ErrorData::ShuttingDown {})
}

pub(crate) fn job_error(job_error: &JobError) -> ErrorObjectOwned {
    error(job_error.to_string(), error_data(job_error))
}

pub(crate) fn no_room(refused: NoRoom) -> ErrorObjectOwned {
    let NoRoom { n_requests, needed_bytes, available_bytes } = refused;
    let message = format!(
        "{n_requests} requests are waiting already and leave room for {available_bytes} bytes, got a request of {needed_bytes}"
    );
    let data = ErrorData::Overloaded {
        queued: n_requests,
        needed_bytes: Some(needed_bytes),
        available_bytes: Some(available_bytes),
    };
    error(message, data)
}

pub(crate) fn error_data(error: &JobError) -> ErrorData {
    match error {
        JobError::PromptTooLong { n_tokens, limit } => {
            ErrorData::PromptTooLong { prompt_tokens: *n_tokens as u64, limit: *limit as u64 }
        }
        JobError::UnknownToken { .. } => ErrorData::Unsupported { field: None },
        JobError::Overloaded { n_queued } => {
            ErrorData::Overloaded { queued: *n_queued as u64, needed_bytes: None, available_bytes: None }
        }
        JobError::OutOfMemory { needed_bytes, available_bytes } => {
            ErrorData::OutOfMemory { needed_bytes: *needed_bytes, available_bytes: *available_bytes }
        }
        JobError::StepFailed { .. } | JobError::EngineDied { .. } => ErrorData::GenerationFailed {},
        JobError::ShuttingDown => ErrorData::ShuttingDown {},
        JobError::LoadFailed { message } => match message.split_once("\nhint: ") {
            Some((cause, hint)) => {
                ErrorData::ModelLoadFailed { cause: cause.to_owned(), hint: Some(hint.to_owned()) }
            }
            None => ErrorData::ModelLoadFailed { cause: message.clone(), hint: None },
        },
    }
}

/// What is wrong with a conversation or a parameter.
pub(crate) fn text_error(error: &TextError) -> ErrorObjectOwned {
    let message = error.to_string();
    match error {
        TextError::OutOfBounds { field, .. } => invalid(field, message),
        TextError::UnknownToken { .. } => invalid("logit_bias", message),
        TextError::NoChatTemplate
        | TextError::BadChatTemplate { .. }
        | TextError::ChatTemplateTooCostly { .. } => unsupported(None, message),
        _ => invalid("messages", message),
    }
}

pub(crate) fn worker_state(state: &State) -> WorkerState {
    match state {
        State::Loading(_) => WorkerState::Loading,
        State::Ready(_) => WorkerState::Ready,
        State::Failed(_) => WorkerState::Failed,
    }
}

pub(crate) fn priority(priority: api::Priority) -> Priority {
    match priority {
        api::Priority::Interactive => Priority::Interactive,
        api::Priority::Background => Priority::Background,
    }
}

/// The request's parameters over the defaults of its method.
pub(crate) fn sampling(given: api::Sampling, defaults: SamplingParams) -> SamplingParams {
    let size = |it: Option<u32>, default| it.map_or(default, |it| it as usize);
    SamplingParams {
        temperature: given.temperature.unwrap_or(defaults.temperature),
        top_p: given.top_p.unwrap_or(defaults.top_p),
        top_k: size(given.top_k, defaults.top_k),
        min_p: given.min_p.unwrap_or(defaults.min_p),
        min_tokens_to_keep: size(given.min_tokens_to_keep, defaults.min_tokens_to_keep),
        xtc_probability: given.xtc_probability.unwrap_or(defaults.xtc_probability),
        xtc_threshold: given.xtc_threshold.unwrap_or(defaults.xtc_threshold),
        repetition_penalty: given.repetition_penalty.unwrap_or(defaults.repetition_penalty),
        repetition_context_size: size(given.repetition_context_size, defaults.repetition_context_size),
        presence_penalty: given.presence_penalty.unwrap_or(defaults.presence_penalty),
        frequency_penalty: given.frequency_penalty.unwrap_or(defaults.frequency_penalty),
        logit_bias: given.logit_bias.map_or(defaults.logit_bias, |it| it.into_iter().collect()),
        seed: given.seed.or(defaults.seed),
        xtc_special_tokens: defaults.xtc_special_tokens,
    }
}

/// A message as chat templates see it.
pub(crate) fn message(message: api::Message) -> text::Message {
    text::Message {
        role: match message.role {
            api::Role::System => "system",
            api::Role::User => "user",
            api::Role::Assistant => "assistant",
            api::Role::Tool => "tool",
        }
        .to_owned(),
        content: message.content.map(|it| match it {
            api::Content::Text(text) => text::Content::Text(text),
            api::Content::Parts(parts) => text::Content::Parts(parts.into_iter().map(|it| it.text).collect()),
        }),
        reasoning: message.reasoning,
        tool_calls: message
            .tool_calls
            .into_iter()
            .map(|it| text::ToolCall {
                id: Some(it.id),
                name: it.function.name,
                arguments: Value::Object(it.function.arguments),
            })
            .collect(),
        tool_call_id: message.tool_call_id,
        name: None,
    }
}

/// What a message says, as one text.
pub(crate) fn text_of(content: &api::Content) -> Cow<'_, str> {
    match content {
        api::Content::Text(text) => Cow::Borrowed(text),
        api::Content::Parts(parts) => parts.iter().map(|it| it.text.as_str()).collect::<String>().into(),
    }
}

pub(crate) fn finish_reason(reason: FinishReason) -> api::FinishReason {
    match reason {
        FinishReason::Stop { .. } => api::FinishReason::Stop,
        FinishReason::Rule { .. } => api::FinishReason::Rule,
        FinishReason::Eos => api::FinishReason::Eos,
        FinishReason::Length => api::FinishReason::Length,
        FinishReason::Budget => api::FinishReason::Budget,
        FinishReason::Cancelled => api::FinishReason::Cancelled,
        FinishReason::Superseded => api::FinishReason::Superseded,
    }
}

pub(crate) fn rule(rule: api::CompletionRule) -> Rule {
    match rule {
        api::CompletionRule::Line => Rule::Line,
        api::CompletionRule::Statement => Rule::Statement,
        api::CompletionRule::Block => Rule::Block,
        api::CompletionRule::Indentation => Rule::Indentation,
        api::CompletionRule::Bracket => Rule::Bracket,
        api::CompletionRule::Suffix => Rule::Suffix,
        api::CompletionRule::Repetition => Rule::Repetition,
        api::CompletionRule::Blank => Rule::Blank,
    }
}

pub(crate) fn completion_rule(rule: Rule) -> api::CompletionRule {
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

/// The cost of all choices together; they share one prompt.
pub(crate) fn usage(finishes: &[Finish], trimmed: &Trimmed) -> api::Usage {
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

/// `waited`: from when the request was read until its job was submitted, which the engine cannot know.
pub(crate) fn timing(finish: &Finish, waited: Duration) -> api::Timing {
    // To the microsecond, and rates to the thousandth: what is behind that is noise.
    let ms = |it: Duration| (it.as_secs_f64() * 1e6).round() / 1e3;
    let per_second = |n_tokens: usize, it: Duration| {
        (n_tokens > 0 && !it.is_zero()).then(|| (n_tokens as f64 / it.as_secs_f64() * 1e3).round() / 1e3)
    };
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

pub(crate) fn logprobs(finish: &Finish, tokenizer: &Tokenizer) -> Vec<api::TokenLogprobs> {
    let text = |token| tokenizer.decode(&[token]);
    finish
        .tokens
        .iter()
        .zip(&finish.logprobs)
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
