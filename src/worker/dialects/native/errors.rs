//! Turns failures into the protocol's errors, with their codes, their kinds and the names of parameters on the wire.

use runabout_api::{self as api, ErrorData};
use runabout_assist::{Error, Limited, TextError};
use runabout_rpc::{ErrorObject, ErrorObjectOwned};

use super::to_wire;

/// The error for a request that the assistant refused or could not finish.
pub(super) fn of_request(error: &Error) -> ErrorObjectOwned {
    match error {
        Error::OutOfRange { what, min, max, got } => out_of_range(*what, *min, *max, *got),
        Error::EmptyPrompt => {
            invalid("prefix", "`prefix` must not be empty for a model that cannot fill in the middle")
        }
        Error::NoMessages => invalid("messages", "`messages` must have at least one message, got none"),
        Error::EmptyMessage { index } => {
            let field = format!("messages[{index}].content");
            let message = format!("`{field}` must be a string where there are no `tool_calls`");
            invalid(&field, message)
        }
        Error::NoNextEdit | Error::UnknownEndToken { .. } => unsupported(None, error.to_string()),
        Error::LacksTokens { .. } => unsupported(Some("format"), error.to_string()),
        Error::NoTools => {
            invalid("tool_choice", "`tool_choice` must not require a call where there are no `tools`")
        }
        Error::UnknownTool { name } => {
            invalid("tool_choice", format!("`tool_choice` must name one of the `tools`, got `{name}`"))
        }
        Error::FormatWithTools => {
            let message = "`response_format` must not be given where `tools` can be called\nhint: `\"tool_choice\": \"none\"` lets the model answer only";
            invalid("response_format", message)
        }
        Error::CannotCall { .. } => unsupported(Some("tools"), error.to_string()),
        Error::NoRoom { n_requests, needed_bytes, available_bytes } => {
            let data = ErrorData::Overloaded {
                queued: *n_requests,
                needed_bytes: Some(*needed_bytes),
                available_bytes: Some(*available_bytes),
            };
            with_data(error.to_string(), data)
        }
        Error::Job(error) => with_data(error.to_string(), to_wire::error_data(error)),
        Error::Text(error) => of_text(error),
    }
}

/// The error for a parameter that has the right type but a wrong value. `field` is its name on the wire.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> ErrorObjectOwned {
    let data = api::InvalidParamsData { field: field.to_owned(), nearest: None };
    ErrorObject::owned(api::codes::INVALID_PARAMS, message, Some(data))
}

/// The error for what this version or this model cannot do. `field` is the parameter that asks for it, if it is one.
pub(super) fn unsupported(field: Option<&str>, message: impl Into<String>) -> ErrorObjectOwned {
    with_data(message, ErrorData::Unsupported { field: field.map(str::to_owned) })
}

/// The error for a request that `$/cancelRequest` ended; `partial` is its text so far.
pub(super) fn request_cancelled(partial: String) -> ErrorObjectOwned {
    let data = api::CancelledData { partial };
    ErrorObject::owned(api::codes::REQUEST_CANCELLED, "request cancelled", Some(data))
}

pub(super) fn shutting_down() -> ErrorObjectOwned {
    with_data("the worker is shutting down", ErrorData::ShuttingDown {})
}

/// An error with one of the protocol's own codes.
fn with_data(message: impl Into<String>, data: ErrorData) -> ErrorObjectOwned {
    ErrorObject::owned(data.code(), message, Some(data))
}

fn out_of_range(what: Limited, min: u64, max: u64, got: u64) -> ErrorObjectOwned {
    let field = match what {
        Limited::Choices => "n".to_owned(),
        Limited::MaxTokens => "max_tokens".to_owned(),
        Limited::TopLogprobs => "logprobs".to_owned(),
        Limited::TimeBudget => "time_budget_ms".to_owned(),
        Limited::StopStrings => "stop".to_owned(),
        Limited::StopString(index) => format!("stop[{index}]"),
    };
    let message = match what {
        Limited::StopStrings => format!("`stop` must have at most {max} strings, got {got}"),
        Limited::StopString(_) => format!("`{field}` must have between {min} and {max} bytes, got {got}"),
        _ if max == u64::MAX => format!("`{field}` must be at least {min}, got {got}"),
        _ => format!("`{field}` must be between {min} and {max}, got {got}"),
    };
    invalid(&field, message)
}

/// The error for an invalid conversation or sampling parameter.
fn of_text(error: &TextError) -> ErrorObjectOwned {
    let message = error.to_string();
    match error {
        TextError::OutOfBounds { field, .. } => invalid(field, message),
        TextError::UnknownToken { .. } => invalid("logit_bias", message),
        TextError::BadFormat { .. } => invalid("response_format", message),
        TextError::UnsupportedFormat { .. } => unsupported(Some("response_format"), message),
        TextError::UnsupportedTool { .. } => unsupported(Some("tools"), message),
        TextError::CallsWithoutGrammar => unsupported(Some("tool_choice"), message),
        TextError::NoChatTemplate
        | TextError::CannotContinue
        | TextError::BadChatTemplate { .. }
        | TextError::ChatTemplateTooCostly { .. } => unsupported(None, message),
        _ => invalid("messages", message),
    }
}
