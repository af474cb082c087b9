//! Why a tool call failed, in words for the agent's model, which may correct itself: [`Failure`].
//!
//! Wrong arguments are failures of the tool, as MCP wants it: models see those, but not errors of the protocol.

use runabout_assist::{Error, Limited};
use runabout_rpc::ErrorObjectOwned;

/// Why a tool call failed, in a sentence or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(pub(super) String);

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An argument has the right type but a wrong value.
    pub(super) fn argument(name: &str, problem: &str) -> Self {
        Self(format!("`{name}` {problem}"))
    }
}

/// Arguments that cannot be read; the message names the argument.
impl From<ErrorObjectOwned> for Failure {
    fn from(error: ErrorObjectOwned) -> Self {
        Self::new(error.message())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::OutOfRange { what, min, max, got } => {
                let name = match what {
                    Limited::Choices => "n".to_owned(),
                    Limited::MaxTokens => "max_tokens".to_owned(),
                    Limited::TopLogprobs => "logprobs".to_owned(),
                    Limited::TimeBudget => "time_limit_seconds".to_owned(),
                    Limited::StopStrings => {
                        return Self(format!("`stop` must have at most {max} strings, got {got}"));
                    }
                    Limited::StopString(index) => {
                        return Self(format!("`stop[{index}]` must have {min} to {max} bytes, got {got}"));
                    }
                };
                let bounds =
                    if max == u64::MAX { format!("at least {min}") } else { format!("{min} to {max}") };
                Self(format!("`{name}` must be {bounds}, got {got}"))
            }
            _ => Self(message),
        }
    }
}
