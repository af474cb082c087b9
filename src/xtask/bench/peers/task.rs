//! The unit of measurement: a [`Task`] on a [`Prompt`] gives a [`Sample`].

use std::fmt;

/// Work for each program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Decode {
        context: usize,
        n_tokens: usize,
    },
    /// Several texts from one context together; only the worker does this.
    DecodeTogether {
        n_texts: usize,
        context: usize,
        n_tokens: usize,
    },
    Prefill {
        n_tokens: usize,
    },
}

impl Task {
    pub(super) fn n_prompt_tokens(self) -> usize {
        match self {
            Self::Decode { context: n_tokens, .. }
            | Self::DecodeTogether { context: n_tokens, .. }
            | Self::Prefill { n_tokens } => n_tokens,
        }
    }

    /// The context length needed. The first token generated is not counted as decoded.
    pub(super) fn n_tokens_in_all(self) -> usize {
        match self {
            Self::Decode { context, n_tokens } | Self::DecodeTogether { context, n_tokens, .. } => {
                context + n_tokens + 1
            }
            Self::Prefill { n_tokens } => n_tokens + 1,
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode { context, .. } => write!(f, "decode at {context}"),
            Self::DecodeTogether { n_texts, context, .. } => write!(f, "{n_texts} decodes at {context}"),
            Self::Prefill { n_tokens } => write!(f, "prefill of {n_tokens}"),
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) n_tokens: usize,
    pub(super) seconds: f64,
    /// The worker's own measurement of the same, from its `timing`.
    pub(super) own_seconds: Option<f64>,
}

impl Sample {
    pub(super) fn tokens_per_second(self) -> f64 {
        self.n_tokens as f64 / self.seconds
    }
}

/// A text of a known number of tokens.
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) n_tokens: usize,
}
