//! A job that has no slot yet: [`WaitingJob`].

use std::time::Instant;

use super::reply::{Ended, Reply};
use crate::{
    job::{Finish, FinishReason, Job, JobError, JobId, Timing, Usage},
    likelihood::Likelihood,
    memory::SlotSizing,
    scheduler::SlotRequest,
};

/// A job as it was submitted. Ending it consumes it, so it cannot end twice.
#[derive(Debug)]
pub(crate) struct WaitingJob {
    pub(crate) id: JobId,
    pub(crate) job: Job,
    pub(super) reply: Reply,
    pub(super) submitted: Instant,
    /// See [`Usage::left_out_tokens`].
    pub(super) n_left_out: usize,
}

impl WaitingJob {
    pub(crate) fn new(id: JobId, job: Job, now: Instant) -> Self {
        let reply = Reply::new(job.events.clone());
        Self { id, job, reply, submitted: now, n_left_out: 0 }
    }

    /// Goes on with the [`NearPrompt`](crate::NearPrompt) in the prompt's place.
    pub(crate) fn use_near(&mut self) {
        let Some(near) = self.job.near.take() else { return };
        self.n_left_out = self.job.prompt.len().saturating_sub(near.prompt.len());
        self.job.prompt = near.prompt;
        self.job.document = near.document;
        // They are places in the other prompt.
        self.job.borders.clear();
    }

    /// What admission needs to know about it; see [`SlotRequest::waits_for_prefix`].
    pub(crate) fn slot_request(&self, sizing: SlotSizing, waits_for_prefix: bool) -> SlotRequest {
        let reserved_bytes = sizing.reserved_for(self.job.prompt.len(), &self.job);
        let Job { client, priority, .. } = self.job;
        SlotRequest { id: self.id, client, priority, reserved_bytes, waits_for_prefix }
    }

    /// Whether the receiver of its events is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    pub(crate) fn is_over_budget(&self, now: Instant) -> bool {
        self.job.is_over_budget(self.submitted, now)
    }

    /// Ends a job that never ran.
    pub(crate) fn finish(self, reason: FinishReason, now: Instant) -> Ended {
        self.finish_cached(reason, 0, now)
    }

    /// Ends a prefill-only job whose whole prompt is already in the cache.
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
            likelihood: Likelihood::default(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage { prompt_tokens: self.job.prompt.len(), cached_tokens, ..Usage::default() },
            timing: Timing { queue: waited, total: waited, ..Timing::default() },
            is_incomplete: self.job.constraint.is_some(),
        };
        Ended { reply: self.reply, outcome: Ok(finish) }
    }
}
