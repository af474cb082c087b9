//! What the engine is asked to do, and what it says while it does it.
//!
//! A [`Job`] is already checked: prompts are token ids, bounds hold. Everything that happens to it arrives as
//! [`Event`]s on its own channel; the last one is always [`Event::Finished`] or [`Event::Failed`].

use std::{sync::Arc, time::Duration};

use runabout_text::{Healing, LineEnd, Rule, Rules, SamplingParams, TokenId};
use tokio::sync::mpsc::UnboundedSender;

use crate::model::TokenLogprobs;

/// Names an accepted job; unique for the life of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Background,
    /// Goes before all background work, at the next step.
    Interactive,
}

/// How a text begins. Some tokenizers put a space before the first word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStart {
    /// A text for itself, a chat turn: that space is taken away again.
    Fresh,
    /// Goes on where the prompt stopped, a completion: the space is part of the text.
    Continuing,
}

/// Accepted work.
#[derive(Debug)]
pub struct Job {
    /// Never empty.
    pub prompt: Vec<TokenId>,
    pub params: SamplingParams,
    /// Tokens that end the text and are not part of it.
    pub end_tokens: Vec<TokenId>,
    /// Strings that end the text and are not part of it.
    pub stop: Vec<String>,
    /// Rules that end the text, and cut it.
    pub rules: Option<Rules>,
    /// What the first tokens must spell, of which nothing is part of the text.
    pub healing: Option<Healing>,
    pub text_start: TextStart,
    /// How the text's lines end, however they were drawn; `None`: as they were drawn. `stop` and `rules` know LF alone then.
    pub line_end: Option<LineEnd>,
    /// 0: prefill only, as `warm` does.
    pub max_tokens: usize,
    /// From submission, waiting included; what there is by then is the result.
    pub time_budget: Option<Duration>,
    pub priority: Priority,
    /// `Some(n)`: log probabilities of each token and of the `n` most likely ones.
    pub top_logprobs: Option<usize>,
    /// Whether tokens may be guessed from the text itself and checked several at a time. The text is the same.
    pub speculate: bool,
    /// What is typed in. Its prompts replace one another in the cache.
    pub document: Option<Arc<str>>,
    /// An earlier job that this one takes the place of.
    pub supersedes: Option<Supersede>,
    /// Unbounded, since the engine never waits for a client; bounded in fact by `max_tokens`.
    pub events: UnboundedSender<Event>,
}

impl Job {
    /// Leaves out of what a text may end with, or is drawn by, the tokens that the model has not, which never come. (A
    /// prompt that has one is refused.)
    pub(crate) fn forget_beyond(&mut self, vocabulary_size: usize) {
        let is_known = |it: &TokenId| (*it as usize) < vocabulary_size;
        self.end_tokens.retain(is_known);
        self.params.xtc_special_tokens.retain(is_known);
        self.params.logit_bias.retain(|(token, _)| is_known(token));
    }
}

/// Takes the place of an earlier job, which ends as [`FinishReason::Superseded`] when this one is taken in.
///
/// The prompt of the new job is that of the old one with `typed` put in where the text begins; all else about
/// the jobs must be alike. If the old job has said just that, then its sequence goes on as the new job's,
/// which begins with what was said beyond it: somebody who types what was suggested keeps the suggestion. If
/// it has said something else, the new job starts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supersede {
    pub job: JobId,
    pub typed: String,
}

/// What happens to a job, in order.
#[derive(Debug)]
pub enum Event {
    /// Prompt tokens in the cache so far, `cached` of them found there at the start.
    Prefill {
        done: usize,
        total: usize,
        cached: usize,
    },
    /// A piece of text that is final. Never empty; the concatenation of all deltas is the result's text.
    Delta {
        text: String,
    },
    Finished(Finish),
    Failed(JobError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop string: `Job::stop[index]`.
    Stop {
        index: usize,
    },
    /// One of `Job::rules`.
    Rule {
        rule: Rule,
    },
    /// An end token.
    Eos,
    Length,
    /// The time budget.
    Budget,
    Cancelled,
    Superseded,
}

/// Why somebody ends a job early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    Cancelled,
    Superseded,
}

/// A job's end, with all that it produced.
#[derive(Clone, Debug)]
pub struct Finish {
    pub reason: FinishReason,
    pub text: String,
    /// The generated tokens, an end token left out.
    pub tokens: Vec<TokenId>,
    /// One per token, when asked for.
    pub logprobs: Vec<TokenLogprobs>,
    pub usage: Usage,
    pub timing: Timing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: usize,
    /// Prompt tokens whose KV was found in the cache.
    pub cached_tokens: usize,
    /// Tokens drawn, an end token counted.
    pub completion_tokens: usize,
    pub drafted_tokens: usize,
    pub accepted_tokens: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// From submission until the first step.
    pub queue: Duration,
    /// From the first step until the prompt was in the cache.
    pub prefill: Duration,
    /// From submission until the first token was drawn; `None` when there was none.
    pub first_token: Option<Duration>,
    /// From the first token until the end.
    pub decode: Duration,
    /// From submission until the end.
    pub total: Duration,
}

/// Why a job could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// `limit` leaves room for one token of output, unless the job is prefill only.
    #[error("the prompt must have at most {limit} tokens to fit in the model's context, got {n_tokens}")]
    PromptTooLong { n_tokens: usize, limit: usize },
    /// The tokenizer has tokens that the model has not.
    #[error("the prompt must have tokens below {vocabulary_size}, which are the model's, got {token}")]
    UnknownToken { token: TokenId, vocabulary_size: usize },
    #[error("{n_queued} jobs are waiting already")]
    Overloaded { n_queued: usize },
    /// Nothing was allocated. `needed_bytes` are those of the longest text that the job may come to.
    #[error(
        "at most {available_bytes} bytes of memory are there, got work that may need {needed_bytes}\nhint: ask for fewer tokens, or raise the memory limit"
    )]
    OutOfMemory { needed_bytes: u64, available_bytes: u64 },
    #[error("generation failed: {message}")]
    StepFailed { message: String },
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// There is no model; every later job gets the same answer.
    #[error("the model could not be loaded: {message}")]
    LoadFailed { message: String },
    /// The engine's thread died; every later job gets the same answer.
    #[error("the engine stopped working: {message}")]
    EngineDied { message: String },
}

impl From<CancelReason> for FinishReason {
    fn from(reason: CancelReason) -> Self {
        match reason {
            CancelReason::Cancelled => Self::Cancelled,
            CancelReason::Superseded => Self::Superseded,
        }
    }
}
