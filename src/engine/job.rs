//! What the engine is asked to do ([`Job`]), and what it reports in the meantime ([`Event`]).
//!
//! A job is already validated: its prompt is token ids, and its bounds hold. Everything that happens to it arrives as
//! events on its own channel; the last one is always [`Event::Finished`] or [`Event::Failed`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use runabout_text::{Constraint, FormatFailed, Healing, LineEnd, Rule, Rules, SamplingParams, TokenId};
use tokio::sync::mpsc::UnboundedSender;

use crate::{likelihood::Likelihood, model::TokenLogprobs};

/// The smallest number for [`Job::max_kv_tokens`]: with fewer, hardly anything would be left behind the first tokens.
pub const MIN_KV_TOKENS: usize = 16;

/// Identifies a submitted job; unique for the life of the engine, and greater for a later job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Whose a job is. Clients share the engine fairly: however many jobs one of them has, another one's get their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// An id that no other client of this process has.
    pub fn new() -> Self {
        static N_CLIENTS: AtomicU64 = AtomicU64::new(0);
        Self(N_CLIENTS.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for ClientId {
    fn default() -> Self {
        Self::new()
    }
}

/// Which jobs come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Background,
    /// Goes before all background jobs, from the next step on.
    Interactive,
}

/// Whether the generated text continues the prompt. Some tokenizers put a space before the first word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStart {
    /// A separate text, such as a chat turn: that space is removed.
    Fresh,
    /// A text that continues the prompt, such as a completion: the space is part of the text.
    Continuing,
}

/// Work for the engine: one prompt, and how to continue it.
#[derive(Debug)]
pub struct Job {
    pub client: ClientId,
    /// Never empty.
    pub prompt: Vec<TokenId>,
    /// A shorter prompt for the same text, for when this one would take long. Not used if no text is generated.
    pub near: Option<NearPrompt>,
    /// The positions in the prompt where a part of it begins, such as a message or a file, in ascending order. Another
    /// prompt may begin in the same way up to there. Only models that need checkpoints use them.
    pub borders: Vec<usize>,
    pub params: SamplingParams,
    /// Tokens that end the text and are not part of it.
    pub end_tokens: Vec<TokenId>,
    /// Strings that end the text and are not part of it.
    pub stop: Vec<String>,
    /// Rules that end the text and may cut it.
    pub rules: Option<Rules>,
    /// The end of the prompt's text, which the first tokens must generate again. It is not part of the generated text.
    pub healing: Option<Healing>,
    /// Holds the text to a format; the text ends when it is whole. It was made for the healed text, and the job
    /// supersedes no other.
    pub constraint: Option<Constraint>,
    pub text_start: TextStart,
    /// The line end of the text; `None` leaves the line ends of the model. If set, `stop` and `rules` see LF only.
    pub line_end: Option<LineEnd>,
    /// The most tokens to generate. 0 only computes the prompt, which warms the cache.
    pub max_tokens: usize,
    /// The most tokens that the slot holds, at least [`MIN_KV_TOKENS`]. When it holds that many, a quarter of them is
    /// dropped, the oldest after the first four, and what follows no longer sees these. Prompt and text may then be longer
    /// than the model's context. Only for models that [can shift](crate::ModelDescription::can_shift). `None` drops
    /// nothing.
    pub max_kv_tokens: Option<usize>,
    /// After this time, counted from submission, the job ends with the text it has.
    pub time_budget: Option<Duration>,
    pub priority: Priority,
    /// `Some(n)` reports the log probability of each token, and those of the `n` most likely tokens at its position.
    pub top_logprobs: Option<usize>,
    /// Withholds a text whose [confidence](Likelihood::confidence) is lower, and ends the job once that is certain. Until
    /// it is decided, at the end of the first line or of the text, no text is sent. `None` withholds nothing.
    pub min_confidence: Option<f64>,
    /// Whether tokens may be drafted and checked several at a time. This changes the speed, not the text.
    pub speculate: bool,
    /// The document that the prompt is made from. Prompts of one document replace each other in the cache.
    pub document: Option<Arc<str>>,
    /// An earlier job that this one replaces.
    pub supersedes: Option<Supersede>,
    /// Receives the job's events. Unbounded, since the engine never waits for a client; `max_tokens` limits their
    /// number.
    pub events: UnboundedSender<Event>,
}

/// The part of a prompt that is nearest to the text to generate, without what lies further away.
///
/// It takes the prompt's place if computing what the cache does not have of that would take longer than `patience`, by
/// the speed measured so far, and if this one needs at most half as many tokens. Before a speed is known, only the latter
/// counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearPrompt {
    /// Never empty.
    pub prompt: Vec<TokenId>,
    pub patience: Duration,
    /// In place of [`Job::document`], so that it does not take the cache's slot of the whole prompt.
    pub document: Option<Arc<str>>,
}

impl Job {
    /// Removes tokens that the model does not have from the end tokens and sampling parameters, as they are never
    /// drawn. (A prompt that contains one is refused.)
    pub(crate) fn remove_unknown_tokens(&mut self, vocabulary_size: usize) {
        let is_known = |it: &TokenId| (*it as usize) < vocabulary_size;
        self.end_tokens.retain(is_known);
        self.params.xtc_special_tokens.retain(is_known);
        self.params.logit_bias.retain(|(token, _)| is_known(token));
    }

    /// The beginning of the prompt that a slot holds before anything is dropped, and the token after it.
    pub(crate) fn reusable_prompt(&self) -> &[TokenId] {
        let n = self.max_kv_tokens.map_or(usize::MAX, |it| it.saturating_add(1));
        self.prompt.get(..n).unwrap_or(&self.prompt)
    }

    /// Whether the time budget is used up, for a job submitted at `submitted`.
    pub(crate) fn is_over_budget(&self, submitted: Instant, now: Instant) -> bool {
        self.time_budget.is_some_and(|budget| now - submitted >= budget)
    }
}

/// Replaces an earlier job, which ends as [`FinishReason::Superseded`] when the new one arrives.
///
/// The prompt of the new job must be that of the old one with `typed` inserted where the text begins; everything else
/// must be the same. If the old job's text begins with `typed`, its sequence continues as the new job's, whose text is
/// the rest: a user who types what was suggested keeps the suggestion. Otherwise the new job starts from its prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supersede {
    pub job: JobId,
    pub typed: String,
}

/// The events of a job, in this order: prefill, deltas, one end.
#[derive(Debug)]
pub enum Event {
    /// `done` of `total` prompt tokens have been computed, of which `cached` were found in the cache.
    Prefill {
        done: usize,
        total: usize,
        cached: usize,
    },
    /// Text that is final, never empty. All deltas joined are the result's text. `confidence` is the
    /// [confidence](Likelihood::confidence) of the text so far, which is final once the first line has ended.
    Delta {
        text: String,
        confidence: Option<f64>,
    },
    Finished(Box<Finish>),
    Failed(JobError),
}

/// Why a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The text reached a stop string: `Job::stop[index]`.
    Stop { index: usize },
    /// One of `Job::rules` ended the text.
    Rule { rule: Rule },
    /// The model drew an end token, or the text has all of its format.
    Eos,
    /// The token limit or the model's context length was reached.
    Length,
    /// The time budget was used up.
    Budget,
    /// It was cancelled, or the receiver of its events was dropped.
    Cancelled,
    /// A newer job superseded it.
    Superseded,
    /// The text is withheld, since its confidence is lower than `Job::min_confidence`.
    LowConfidence,
}

/// Why a caller ends a job early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    Cancelled,
    Superseded,
}

/// The end of a job, with everything it produced.
#[derive(Clone, Debug)]
pub struct Finish {
    pub reason: FinishReason,
    pub text: String,
    /// How likely the text is under the model. A text that is withheld counts as far as it was generated.
    pub likelihood: Likelihood,
    /// The generated tokens, without an end token.
    pub tokens: Vec<TokenId>,
    /// One per token if requested, else none.
    pub logprobs: Vec<TokenLogprobs>,
    pub usage: Usage,
    pub timing: Timing,
    /// Whether the text was ended before it had the job's format.
    pub is_incomplete: bool,
}

/// The token counts of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: usize,
    /// Prompt tokens whose keys and values were found in the cache.
    pub cached_tokens: usize,
    /// Tokens of the whole prompt that were left out, since its [`NearPrompt`] took its place.
    pub left_out_tokens: usize,
    /// Tokens drawn, including an end token.
    pub completion_tokens: usize,
    /// Drafts that the model checked.
    pub drafted_tokens: usize,
    /// Drafts that were accepted, since the model drew the same token.
    pub accepted_tokens: usize,
}

/// How long the stages of a job took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// From submission until the job got its slot.
    pub queue: Duration,
    /// From then until its prompt was computed.
    pub prefill: Duration,
    /// From submission until the first token was drawn; `None` if there was none.
    pub first_token: Option<Duration>,
    /// From the first token until the end.
    pub decode: Duration,
    /// From submission until the end.
    pub total: Duration,
}

/// Why a job could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// `limit` leaves one token for the output, unless the job is prefill only.
    #[error("the prompt must have at most {limit} tokens to fit in the model's context, got {n_tokens}")]
    PromptTooLong { n_tokens: usize, limit: usize },
    /// The tokenizer has tokens that the model does not have.
    #[error(
        "the prompt must have tokens below {vocabulary_size}, the size of the model's vocabulary, got {token}"
    )]
    UnknownToken { token: TokenId, vocabulary_size: usize },
    /// [`Job::max_kv_tokens`] is set, and the model's states cannot be moved.
    #[error(
        "the model cannot drop old tokens and keep later ones: `{architecture}` has layers with a recurrent state"
    )]
    CannotDrop { architecture: String },
    #[error("{n_queued} jobs are already waiting")]
    Overloaded { n_queued: usize },
    /// Nothing was allocated. `needed_bytes` is the memory for the longest text that the job may generate.
    #[error(
        "at most {available_bytes} bytes of memory are available, got work that may need {needed_bytes}\nhint: ask for fewer tokens, or raise the memory limit"
    )]
    OutOfMemory { needed_bytes: u64, available_bytes: u64 },
    /// The model alone, with the memory for a step, is too large for the limit. Every later job gets the same answer.
    #[error(
        "at most {available_bytes} bytes of memory may be used, got a model that needs {needed_bytes}\nhint: take a smaller model, or one with fewer bits (`runabout models recommend` names some that fit), or raise the memory limit"
    )]
    ModelTooLarge { needed_bytes: u64, available_bytes: u64 },
    #[error("generation failed: {message}")]
    StepFailed { message: String },
    /// The job's format became too complex.
    #[error(transparent)]
    FormatFailed(#[from] FormatFailed),
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// There is no model. Every later job gets the same answer.
    #[error("the model could not be loaded: {message}")]
    LoadFailed { message: String },
    /// The engine's thread died. Every later job gets the same answer.
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
