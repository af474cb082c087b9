//! What is said to a rank, and what it says: [`Setup`], [`Command`] and [`Report`].

use std::ops::Range;

use runabout_engine::model::{MemoryUse, ModelDescription, SampleRequest, Sampled, SlotCopy, SlotId, Span};
use runabout_text::{SamplingParams, TokenId, TokenSet};
use serde::{Deserialize, Serialize};

use crate::hosts::Transport;

/// How a process becomes a rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Of the program that sends this. Ranks are of the same version.
    pub version: String,
    pub rank: usize,
    pub n_ranks: usize,
    /// How the ranks exchange what they compute.
    pub transport: Transport,
    /// Variables for the rank's environment.
    pub environment: Vec<(String, String)>,
    /// More of them, each of which names a file with this content.
    pub files: Vec<(String, String)>,
    /// The options of the model, as on a command line.
    pub arguments: Vec<String>,
}

/// The first message of a rank that was started by hand.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) version: String,
    pub(crate) rank: usize,
    /// The file with the hosts, which must be the same everywhere.
    pub(crate) hosts: String,
}

/// The first message to a rank.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Welcome {
    Setup(Box<Setup>),
    /// Why it cannot be a rank.
    Refused(String),
}

/// What a rank that has loaded its part says about the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    pub description: ModelDescription,
    /// Says which model it is; all ranks must have the same.
    pub identity: String,
}

/// What a rank says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It is connected with the other ranks.
    Joined,
    /// It has read so many bytes of so many.
    Loading {
        done: u64,
        total: u64,
    },
    Ready(Box<Ready>),
    /// It cannot become a rank.
    Failed(String),
    /// The answer to a command.
    Reply(Reply),
    /// The answer to [`Command::Ping`].
    Pong,
}

/// What a rank is asked: a call of a [`LanguageModel`](runabout_engine::LanguageModel).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    OpenSlot,
    ResumePoint {
        slot: SlotId,
        n_tokens: usize,
    },
    Rewind {
        slot: SlotId,
        n_tokens: usize,
    },
    DropCheckpoint {
        slot: SlotId,
        n_tokens: usize,
    },
    SlotRoom(SlotId),
    Fit(SlotId),
    Close(SlotId),
    Copy {
        from: SlotId,
        n_tokens: usize,
    },
    AppendShifted {
        slot: SlotId,
        from: SlotId,
        tokens: Range<usize>,
    },
    DropTokens {
        slot: SlotId,
        tokens: Range<usize>,
    },
    Step {
        spans: Vec<OwnedSpan>,
    },
    Memory,
    /// Whether the process still runs. It is answered at any time, also during a step.
    Ping,
}

/// The result of a call.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Slot(SlotId),
    Count(usize),
    Copy(SlotCopy),
    Sampled(Vec<Vec<Sampled>>),
    Memory(MemoryUse),
    /// The call failed.
    Failed(String),
}

/// A [`Span`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OwnedSpan {
    slot: SlotId,
    tokens: Vec<TokenId>,
    n_drafted: usize,
    sample: Option<OwnedRequest>,
    checkpoint: bool,
}

/// A [`SampleRequest`].
#[derive(Debug, Default, Serialize, Deserialize)]
struct OwnedRequest {
    params: SamplingParams,
    /// Only what penalties look at.
    history: Vec<TokenId>,
    n_generated: u64,
    seed: u64,
    top_logprobs: Option<usize>,
    allowed: Vec<TokenSet>,
}

impl OwnedSpan {
    /// The span for rank 0, which draws.
    pub(crate) fn with_draws(span: &Span<'_>) -> Self {
        Self {
            sample: span.sample.as_ref().map(|it| OwnedRequest::of(it, span.n_drafted)),
            ..Self::without_draws(span)
        }
    }

    /// The span for other ranks, which compute the same and get the drawn tokens from rank 0.
    pub(crate) fn without_draws(span: &Span<'_>) -> Self {
        Self {
            slot: span.slot,
            tokens: span.tokens.to_vec(),
            n_drafted: span.n_drafted,
            sample: span.sample.map(|_| OwnedRequest::default()),
            checkpoint: span.checkpoint,
        }
    }

    pub(crate) fn borrow(&self) -> Span<'_> {
        Span {
            slot: self.slot,
            tokens: &self.tokens,
            n_drafted: self.n_drafted,
            sample: self.sample.as_ref().map(OwnedRequest::borrow),
            checkpoint: self.checkpoint,
        }
    }
}

impl OwnedRequest {
    fn of(request: &SampleRequest<'_>, n_drafted: usize) -> Self {
        let n_penalized = request.params.n_penalized();
        // Drafts are at its end, and the first draw does not see them.
        let n_history = if n_penalized == 0 { n_drafted } else { n_penalized.saturating_add(n_drafted) };
        let history = &request.history[request.history.len().saturating_sub(n_history)..];
        Self {
            params: request.params.clone(),
            history: history.to_vec(),
            n_generated: request.n_generated,
            seed: request.seed,
            top_logprobs: request.top_logprobs,
            allowed: request.allowed.to_vec(),
        }
    }

    fn borrow(&self) -> SampleRequest<'_> {
        SampleRequest {
            params: &self.params,
            history: &self.history,
            n_generated: self.n_generated,
            seed: self.seed,
            top_logprobs: self.top_logprobs,
            allowed: &self.allowed,
        }
    }
}
