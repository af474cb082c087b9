//! What the model answered: [`Answer`].

use runabout_assist::{Finish, FinishReason};

use crate::fault::Fault;

/// The answer to one question.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) reason: FinishReason,
    pub(crate) n_tokens: usize,
}

impl Answer {
    pub(crate) fn of(finish: Finish) -> Self {
        Self { text: finish.text, reason: finish.reason, n_tokens: finish.usage.completion_tokens }
    }

    /// The text, if the model ended it by itself.
    pub(crate) fn complete(self) -> Result<String, Fault> {
        if self.reason == FinishReason::Length {
            return Err(Fault::CutOff { n_tokens: self.n_tokens });
        }
        if self.text.trim().is_empty() { Err(Fault::NoAnswer) } else { Ok(self.text) }
    }
}
