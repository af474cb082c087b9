//! One job inside the engine, before and while it has a slot.
//!
//! [`Waiting`] is a job as it was submitted; [`Sequence`] is the same job with a slot, its tokens and its
//! text. Both end by being consumed into an [`Ended`], so a job cannot end twice. A sequence does not know
//! the model, other sequences, or why it is run now.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use runabout_text::{TokenId, Tokenizer};

use crate::{
    cache::Slot,
    job::{Finish, FinishReason, Job, JobError, JobId, Timing, Usage},
    model::{SampleRequest, Sampled, Span, TokenLogprobs},
    output::Output,
    reply::{Ended, Reply},
    scheduler::{Candidate, Stage},
};

/// A job without a slot.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: JobId,
    pub(crate) job: Job,
    reply: Reply,
    submitted: Instant,
}

impl Waiting {
    pub(crate) fn new(id: JobId, job: Job, now: Instant) -> Self {
        let reply = Reply::new(job.events.clone());
        Self { id, job, reply, submitted: now }
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate { id: self.id, priority: self.job.priority, stage: Stage::Waiting }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    pub(crate) fn is_over_budget(&self, now: Instant) -> bool {
        is_over_budget(&self.job, self.submitted, now)
    }

    /// Ends a job that never ran.
    pub(crate) fn finish(self, reason: FinishReason, now: Instant) -> Ended {
        self.finish_cached(reason, 0, now)
    }

    /// Ends a prefill-only job whose whole prompt is in the cache already.
    pub(crate) fn finish_warm(self, now: Instant) -> Ended {
        let n_prompt = self.job.prompt.len();
        self.reply.prefill(n_prompt, n_prompt, n_prompt);
        self.finish_cached(FinishReason::Length, n_prompt, now)
    }

    pub(crate) fn fail(self, error: JobError) -> Ended {
        Ended { reply: self.reply, outcome: Err(error) }
    }

    fn finish_cached(self, reason: FinishReason, cached_tokens: usize, now: Instant) -> Ended {
        let waited = now - self.submitted;
        let finish = Finish {
            reason,
            text: String::new(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage { prompt_tokens: self.job.prompt.len(), cached_tokens, ..Usage::default() },
            timing: Timing { queue: waited, total: waited, ..Timing::default() },
        };
        Ended { reply: self.reply, outcome: Ok(finish) }
    }
}

fn is_over_budget(job: &Job, submitted: Instant, now: Instant) -> bool {
    job.time_budget.is_some_and(|budget| now - submitted >= budget)
}

/// A job with a slot.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: JobId,
    job: Job,
    reply: Reply,
    /// Its ledger is always the beginning of `tokens`.
    slot: Slot,
    /// The prompt and what was generated.
    tokens: Vec<TokenId>,
    n_prompt: usize,
    n_cached: usize,
    /// Tokens drawn, an end token counted.
    n_drawn: usize,
    seed: u64,
    output: Output,
    logprobs: Vec<TokenLogprobs>,
    submitted: Instant,
    started: Instant,
    prefilled: Option<Instant>,
    first_token: Option<Instant>,
}

impl Sequence {
    /// Takes a job up, with a slot that holds the beginning of its prompt.
    pub(crate) fn start(waiting: Waiting, slot: Slot, tokenizer: Arc<Tokenizer>, now: Instant) -> Self {
        let Waiting { id, mut job, reply, submitted } = waiting;
        let tokens = std::mem::take(&mut job.prompt);
        let n_cached = slot.ledger.len();
        reply.prefill(n_cached, tokens.len(), n_cached);
        Self {
            id,
            output: Output::new(tokenizer, job.text_start, &job.stop),
            seed: job.params.seed.unwrap_or_else(|| fastrand::u64(..)),
            job,
            reply,
            slot,
            n_prompt: tokens.len(),
            tokens,
            n_cached,
            n_drawn: 0,
            logprobs: Vec::new(),
            submitted,
            started: now,
            prefilled: None,
            first_token: None,
        }
    }

    pub(crate) fn candidate(&self) -> Candidate {
        let stage = Stage::Running {
            n_fed: self.slot.ledger.len(),
            n_known: self.tokens.len(),
            draws: self.job.max_tokens > 0,
        };
        Candidate { id: self.id, priority: self.job.priority, stage }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    pub(crate) fn is_over_budget(&self, now: Instant) -> bool {
        is_over_budget(&self.job, self.submitted, now)
    }

    pub(crate) fn n_held(&self) -> usize {
        self.slot.ledger.len()
    }

    /// How many of the planned tokens belong to the prompt.
    pub(crate) fn n_prompt_tokens_in(&self, range: &Range<usize>) -> usize {
        range.end.min(self.n_prompt).saturating_sub(range.start)
    }

    /// The span of a planned range, which is a part of what is known.
    pub(crate) fn span(&self, range: Range<usize>, sample: bool) -> Span<'_> {
        let sample = sample.then(|| SampleRequest {
            params: &self.job.params,
            history: &self.tokens[..range.end],
            n_generated: self.n_drawn as u64,
            seed: self.seed,
            top_logprobs: self.job.top_logprobs,
            allowed: None,
        });
        Span { slot: self.slot.id, tokens: &self.tokens[range], n_drafted: 0, sample }
    }

    /// Notes that the slot holds these tokens now. Says whether the job ends with that: prefill only, and
    /// done.
    pub(crate) fn fed(&mut self, range: Range<usize>, now: Instant) -> Option<FinishReason> {
        let in_prompt = range.start < self.n_prompt;
        self.slot.ledger.extend_from_slice(&self.tokens[range]);
        let n_held = self.slot.ledger.len();
        if in_prompt {
            self.reply.prefill(n_held.min(self.n_prompt), self.n_prompt, self.n_cached);
        }
        if n_held >= self.n_prompt {
            self.prefilled.get_or_insert(now);
        }
        (self.job.max_tokens == 0 && n_held == self.n_prompt).then_some(FinishReason::Length)
    }

    /// Takes a drawn token: into the text, and out as a delta. Says whether, and why, the job ends with it.
    pub(crate) fn push(
        &mut self,
        sampled: Sampled,
        context_length: usize,
        now: Instant,
    ) -> Option<FinishReason> {
        let Sampled { token, logprobs } = sampled;
        self.n_drawn += 1;
        self.first_token.get_or_insert(now);
        if self.job.end_tokens.contains(&token) {
            return Some(FinishReason::Eos);
        }
        self.tokens.push(token);
        self.logprobs.extend(logprobs);
        let pushed = self.output.push(token);
        self.reply.delta(pushed.delta);
        if let Some(index) = pushed.stopped_by {
            Some(FinishReason::Stop { index })
        } else if self.n_drawn >= self.job.max_tokens || self.tokens.len() >= context_length {
            Some(FinishReason::Length)
        } else {
            None
        }
    }

    /// Ends the job with what there is, text held back included. The slot goes on its own way.
    pub(crate) fn finish(self, reason: FinishReason, now: Instant) -> (Slot, Ended) {
        let (last, text, stopped_by) = self.output.finish();
        self.reply.delta(last);
        let ended_by_itself = matches!(reason, FinishReason::Eos | FinishReason::Length);
        let finish = Finish {
            reason: match stopped_by {
                Some(index) if ended_by_itself => FinishReason::Stop { index },
                _ => reason,
            },
            text,
            tokens: self.tokens[self.n_prompt..].to_vec(),
            logprobs: self.logprobs,
            usage: Usage {
                prompt_tokens: self.n_prompt,
                cached_tokens: self.n_cached,
                completion_tokens: self.n_drawn,
                ..Usage::default()
            },
            timing: Timing {
                queue: self.started - self.submitted,
                prefill: self.prefilled.unwrap_or(now) - self.started,
                first_token: self.first_token.map(|first| first - self.submitted),
                decode: self.first_token.map_or(Duration::ZERO, |first| now - first),
                total: now - self.submitted,
            },
        };
        (self.slot, Ended { reply: self.reply, outcome: Ok(finish) })
    }

    /// Ends the job with an error. What the slot holds is for the caller to judge.
    pub(crate) fn fail(self, error: JobError) -> (Slot, Ended) {
        (self.slot, Ended { reply: self.reply, outcome: Err(error) })
    }
}
