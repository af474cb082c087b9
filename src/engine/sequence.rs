//! One job inside the engine, before and while it has a slot.
//!
//! [`Waiting`] is a job as it was submitted; [`Sequence`] is the same job with a slot, its tokens and its
//! text. Both end by being consumed into an [`Ended`], so a job cannot end twice; a sequence can also be
//! [handed over](Sequence::hand_over) to a job whose user typed what it had said. A sequence does not know the
//! model, other sequences, or why it is run now.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use runabout_text::{TokenId, Tokenizer};

use crate::{
    cache::{Donor, Found, Move, Slot},
    job::{Finish, FinishReason, Job, JobError, JobId, Priority, Timing, Usage},
    model::{SampleRequest, Sampled, Span, TokenLogprobs},
    output::Output,
    reply::{Ended, Reply},
    scheduler::{Applicant, Candidate, Occupant, PlannedSpan},
    speculation::{AcceptanceRate, DraftCosts, DraftRequest, DraftSource, Drafter, MAX_DRAFTS},
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

    pub(crate) fn applicant(&self, extent: Extent, follows: bool) -> Applicant {
        let n_reserved = extent.n_reserved(self.job.prompt.len(), &self.job);
        Applicant { id: self.id, priority: self.job.priority, n_reserved, follows }
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

/// How far slots extend in the model at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) context_length: usize,
    pub(crate) kv_step_tokens: usize,
}

impl Extent {
    /// The most that a job comes to take memory for.
    fn n_reserved(self, n_prompt: usize, job: &Job) -> usize {
        // Drafts are held for the length of a step.
        let n_drafts = if job.speculate { MAX_DRAFTS } else { 0 };
        let n_tokens = n_prompt.saturating_add(job.max_tokens).saturating_add(n_drafts);
        self.room_for(n_tokens.min(self.context_length))
    }

    /// What a slot takes memory for that holds so many tokens.
    pub(crate) fn room_for(self, n_tokens: usize) -> usize {
        n_tokens.next_multiple_of(self.kv_step_tokens.max(1))
    }
}

/// A job with a slot.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: JobId,
    job: Job,
    reply: Reply,
    pub(crate) slot: Slot,
    /// While there are tokens to be had from it.
    donor: Option<Donor>,
    /// The prompt and what was generated; during a step also the guesses that it checks.
    tokens: Vec<TokenId>,
    n_prompt: usize,
    /// Tokens drawn, an end token counted. Those drawn for whoever had the sequence before, too.
    n_drawn: usize,
    seed: u64,
    output: Output,
    /// Of each generated token.
    logprobs: Vec<TokenLogprobs>,
    /// Bytes of text after each generated token.
    text_lengths: Vec<usize>,
    drafter: Drafter,
    /// What the next step may check.
    drafts: Vec<TokenId>,
    claim: Claim,
    submitted: Instant,
    started: Instant,
    prefilled: Option<Instant>,
    first_token: Option<Instant>,
    last_step: u64,
    /// Whether a step failed that it shared with others.
    is_suspect: bool,
}

/// What of a sequence belongs to the job that has it now.
#[derive(Clone, Copy, Debug)]
struct Claim {
    prompt_tokens: usize,
    cached_tokens: usize,
    drafted_tokens: usize,
    accepted_tokens: usize,
    /// Tokens that were drawn before.
    n_drawn_before: usize,
    /// Bytes of text, and tokens that lie wholly in them, which the prompt has now.
    n_typed_bytes: usize,
    n_typed_tokens: usize,
}

impl Sequence {
    /// Takes a job up, with a slot that holds the beginning of its prompt.
    pub(crate) fn start(
        waiting: Waiting,
        Found { slot, donor }: Found,
        tokenizer: Arc<Tokenizer>,
        draft_rate: AcceptanceRate,
        now: Instant,
    ) -> Self {
        let Waiting { id, mut job, reply, submitted } = waiting;
        let tokens = std::mem::take(&mut job.prompt);
        let n_cached = slot.ledger.len();
        reply.prefill(n_cached, tokens.len(), n_cached);
        Self {
            id,
            output: Output::new(tokenizer, &mut job),
            seed: job.params.seed.unwrap_or_else(|| fastrand::u64(..)),
            drafter: Drafter::new(job.speculate && job.max_tokens > 1, &tokens, draft_rate),
            drafts: Vec::new(),
            job,
            reply,
            slot,
            donor,
            n_prompt: tokens.len(),
            claim: Claim::new(tokens.len(), n_cached),
            tokens,
            n_drawn: 0,
            logprobs: Vec::new(),
            text_lengths: Vec::new(),
            submitted,
            started: now,
            prefilled: None,
            first_token: None,
            last_step: 0,
            is_suspect: false,
        }
    }

    pub(crate) fn candidate(&self) -> Candidate {
        let next_move = self.next_move();
        Candidate {
            id: self.id,
            priority: self.job.priority,
            n_fed: self.slot.ledger.len(),
            // What is to be had from another slot is not fed.
            n_known: next_move.map_or(self.tokens.len(), |it| it.to),
            draws: self.job.max_tokens > 0 && next_move.is_none(),
            n_drafted: self.drafts.len(),
            last_step: self.last_step,
        }
    }

    /// The slots that are its own for now.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        std::iter::once(&self.slot).chain(self.donor().map(|it| &it.slot))
    }

    pub(crate) fn donor(&self) -> Option<&Donor> {
        self.donor.as_ref()
    }

    fn next_move(&self) -> Option<Move> {
        self.donor.as_ref()?.next()
    }

    /// The tokens that its slot is to get from the donor's now.
    pub(crate) fn due_move(&self) -> Option<Move> {
        self.next_move().filter(|it| it.to == self.slot.ledger.len())
    }

    /// The slot has got them. Gives the donor back after the last of them.
    pub(crate) fn moved(&mut self, it: Move) -> Option<Donor> {
        self.slot.ledger.extend_from_slice(&self.tokens[it.to..it.to + it.n_tokens]);
        self.claim.cached_tokens += it.n_tokens;
        self.reply.prefill(self.slot.ledger.len(), self.n_prompt, self.claim.cached_tokens);
        if let Some(donor) = &mut self.donor {
            donor.advance();
        }
        self.donor.take_if(|it| it.next().is_none())
    }

    /// What else there was to be had is computed.
    pub(crate) fn take_donor(&mut self) -> Option<Donor> {
        self.donor.take()
    }

    /// `n_room`: what its slot has memory for already.
    pub(crate) fn occupant(&self, extent: Extent, n_room: usize) -> Occupant {
        // A sequence that was handed over is as long as its new job's prompt, give or take a token.
        let n_prompt = self.n_prompt.max(self.claim.prompt_tokens);
        Occupant {
            priority: self.job.priority,
            n_reserved: extent
                .n_reserved(n_prompt, &self.job)
                .max(extent.room_for(self.tokens.len()))
                .max(n_room),
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        self.job.priority
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    pub(crate) fn is_over_budget(&self, now: Instant) -> bool {
        is_over_budget(&self.job, self.submitted, now)
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// Begins again with an empty slot, and gives back the one that a failed step left. No text is lost.
    pub(crate) fn begin_again(&mut self, slot: Slot) -> Slot {
        self.is_suspect = true;
        self.tokens.truncate(self.n_prompt + self.text_lengths.len());
        std::mem::replace(&mut self.slot, slot)
    }

    /// Whether its next step draws a token.
    pub(crate) fn generates(&self) -> bool {
        self.slot.ledger.len() + 1 == self.tokens.len() && self.job.max_tokens > 0
    }

    /// The prompt that is being computed; `None` once it is.
    pub(crate) fn prompt_under_way(&self) -> Option<&[TokenId]> {
        (self.slot.ledger.len() < self.n_prompt).then(|| &self.tokens[..self.n_prompt])
    }

    /// How many of the planned tokens belong to the prompt.
    pub(crate) fn n_prompt_tokens_in(&self, planned: &PlannedSpan) -> usize {
        planned.range.end.min(self.n_prompt).saturating_sub(planned.range.start)
    }

    /// Drafts what follows from the text itself.
    pub(crate) fn draft_from_text(&mut self, costs: &DraftCosts, context_length: usize) {
        let max = self.max_drafts(context_length);
        self.drafts = self.drafter.draft_from_text(&self.tokens, costs, max);
    }

    /// How many drafts could be of use now.
    fn max_drafts(&self, context_length: usize) -> usize {
        let may_draft = self.drafter.is_allowed() && self.generates() && self.output.allowed().is_none();
        let n_left = self.n_tokens_left().min(context_length.saturating_sub(self.tokens.len()));
        // The last token that may be drawn needs no draft: it is drawn in any case.
        if may_draft { n_left.saturating_sub(1).min(MAX_DRAFTS) } else { 0 }
    }

    /// Whether, after the token that its next step draws, it will be fed that token and nothing else.
    pub(crate) fn can_step_ahead(&self, costs: &DraftCosts, context_length: usize) -> bool {
        let n_left = self.n_tokens_left().min(context_length.saturating_sub(self.tokens.len()));
        n_left > 1 && !self.drafter.will_draft(costs) && self.output.allowed().is_none()
    }

    /// How many drafts a draft model could make; none where some are made already.
    pub(crate) fn max_drafts_of_model(&self, context_length: usize) -> usize {
        if self.drafts.is_empty() { self.max_drafts(context_length) } else { 0 }
    }

    pub(crate) fn drafter(&self) -> &Drafter {
        &self.drafter
    }

    /// What is known: the prompt and what was generated.
    pub(crate) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    pub(crate) fn n_generated(&self) -> usize {
        self.tokens.len() - self.n_prompt
    }

    /// Asks a draft model for drafts.
    pub(crate) fn draft_request(&self, n_drafts: usize) -> DraftRequest<'_> {
        let sample = self.sample_after(self.tokens.len());
        DraftRequest { slot: self.slot.id, sample, end_tokens: &self.job.end_tokens, n_drafts }
    }

    /// Takes the drafts of a draft model.
    pub(crate) fn take_drafts(&mut self, drafts: Vec<TokenId>) {
        self.drafts = drafts;
        self.drafter.use_drafts_of_model();
    }

    pub(crate) fn draft_source(&self) -> DraftSource {
        self.drafter.source()
    }

    /// Lines the planned guesses up behind what is known.
    pub(crate) fn prepare(&mut self, planned: &PlannedSpan) {
        self.tokens.extend(self.drafts.iter().take(planned.n_drafted));
    }

    /// The span of what was planned, and prepared.
    pub(crate) fn span(&self, planned: &PlannedSpan) -> Span<'_> {
        let end = planned.range.end + planned.n_drafted;
        let sample = planned.sample.then(|| self.sample_after(end));
        Span {
            slot: self.slot.id,
            tokens: &self.tokens[planned.range.start..end],
            n_drafted: planned.n_drafted,
            sample,
        }
    }

    /// How the token after the first `n` is drawn, those behind the last known one being guesses.
    fn sample_after(&self, n: usize) -> SampleRequest<'_> {
        SampleRequest {
            params: &self.job.params,
            history: &self.tokens[..n],
            n_generated: self.n_drawn as u64,
            seed: self.seed,
            top_logprobs: self.job.top_logprobs,
            allowed: self.output.allowed(),
        }
    }

    /// Takes what a step yielded: the slot holds the span now, with the guesses that proved right; drawn
    /// tokens become text. Says whether, and why, the job ends with that.
    pub(crate) fn fed(
        &mut self,
        planned: &PlannedSpan,
        drawn: Vec<Sampled>,
        context_length: usize,
        (step, now): (u64, Instant),
    ) -> Option<FinishReason> {
        let n_right = drawn.len().saturating_sub(1);
        self.last_step = step;
        // What was lost is there again.
        self.is_suspect &= drawn.is_empty();
        self.slot.ledger.extend_from_slice(&self.tokens[planned.range.start..planned.range.end + n_right]);
        self.tokens.truncate(self.tokens.len() - planned.n_drafted);
        let n_held = self.slot.ledger.len();
        if planned.range.start < self.n_prompt {
            self.reply.prefill(n_held.min(self.n_prompt), self.n_prompt, self.claim.cached_tokens);
        }
        if n_held >= self.n_prompt {
            self.prefilled.get_or_insert(now);
        }
        self.claim.drafted_tokens += planned.n_drafted;
        let n_drawn = drawn.len();
        let n_before = self.tokens.len();
        let mut end = None;
        for (idx, sampled) in drawn.into_iter().enumerate() {
            self.claim.accepted_tokens += usize::from(idx < n_right);
            end = self.push(sampled, context_length, now);
            if end.is_some() {
                break;
            }
        }
        let n_new = self.tokens.len() - n_before;
        self.drafter.record_step(planned.n_drafted, n_drawn, &self.tokens, n_new);
        let is_warm = self.job.max_tokens == 0 && n_held == self.n_prompt;
        end.or(is_warm.then_some(FinishReason::Length))
    }

    /// Takes a drawn token: into the text, and out as a delta.
    fn push(&mut self, sampled: Sampled, context_length: usize, now: Instant) -> Option<FinishReason> {
        let Sampled { token, logprobs } = sampled;
        self.n_drawn += 1;
        self.first_token.get_or_insert(now);
        if self.job.end_tokens.contains(&token) {
            return Some(FinishReason::Eos);
        }
        self.tokens.push(token);
        self.logprobs.extend(logprobs);
        let pushed = self.output.push(token);
        self.text_lengths.push(self.output.text().len());
        self.reply.delta(pushed.delta);
        if pushed.stopped_by.is_some() {
            pushed.stopped_by
        } else if self.n_tokens_left() == 0 || self.tokens.len() >= context_length {
            Some(FinishReason::Length)
        } else {
            None
        }
    }

    /// How many tokens the job may still have. What was typed is not of its text any more.
    fn n_tokens_left(&self) -> usize {
        let n_generated = self.tokens.len().saturating_sub(self.n_prompt + self.claim.n_typed_tokens);
        self.job.max_tokens.saturating_sub(n_generated)
    }

    /// Whether the text so far begins with what was typed.
    pub(crate) fn has_said(&self, typed: &str) -> bool {
        self.output.text()[self.claim.n_typed_bytes..].starts_with(typed)
    }

    /// Goes on as the sequence of `waiting`, whose prompt is this job's with `typed` behind it, which this job
    /// [has said](Self::has_said). What it has said beyond that goes out as the first delta of the new job;
    /// the old one ends as superseded, with all of it.
    pub(crate) fn hand_over(&mut self, waiting: Waiting, typed: &str, now: Instant) -> Ended {
        let Waiting { id, mut job, reply, submitted } = waiting;
        let finish = self.finish_so_far(FinishReason::Superseded, now);
        let n_prompt = std::mem::take(&mut job.prompt).len();
        let n_typed_bytes = self.claim.n_typed_bytes + typed.len();
        self.claim = Claim {
            n_typed_bytes,
            n_typed_tokens: self.text_lengths.iter().take_while(|it| **it <= n_typed_bytes).count(),
            n_drawn_before: self.n_drawn,
            ..Claim::new(n_prompt, n_prompt)
        };
        let rest = self.output.text()[n_typed_bytes..].to_owned();
        reply.prefill(n_prompt, n_prompt, n_prompt);
        (self.submitted, self.started) = (submitted, now);
        self.prefilled = self.prefilled.map(|_| now);
        self.first_token = (!rest.is_empty()).then_some(now);
        reply.delta(rest);
        (self.id, self.job) = (id, job);
        Ended { reply: std::mem::replace(&mut self.reply, reply), outcome: Ok(finish) }
    }

    /// Ends the job with what there is, text held back included. The slot goes on its own way.
    pub(crate) fn finish(self, reason: FinishReason, now: Instant) -> (Slot, Ended) {
        let mut finish = self.finish_so_far(reason, now);
        let Self { output, reply, slot, claim, .. } = self;
        let (last, text, stopped_by) = output.finish();
        reply.delta(last);
        text[claim.n_typed_bytes..].clone_into(&mut finish.text);
        let ended_by_itself = matches!(reason, FinishReason::Eos | FinishReason::Length);
        if let Some(reason) = stopped_by.filter(|_| ended_by_itself) {
            finish.reason = reason;
        }
        (slot, Ended { reply, outcome: Ok(finish) })
    }

    /// Ends the job with an error. What the slot holds is for the caller to judge.
    pub(crate) fn fail(self, error: JobError) -> (Slot, Ended) {
        (self.slot, Ended { reply: self.reply, outcome: Err(error) })
    }

    /// The job's end if it were now, with the text that is out.
    fn finish_so_far(&self, reason: FinishReason, now: Instant) -> Finish {
        let claim = &self.claim;
        let n_before = claim.n_typed_tokens;
        Finish {
            reason,
            text: self.output.text()[claim.n_typed_bytes..].to_owned(),
            tokens: self.tokens.get(self.n_prompt + n_before..).unwrap_or_default().to_vec(),
            logprobs: self.logprobs.get(n_before..).unwrap_or_default().to_vec(),
            usage: Usage {
                prompt_tokens: claim.prompt_tokens,
                cached_tokens: claim.cached_tokens,
                completion_tokens: self.n_drawn - claim.n_drawn_before,
                drafted_tokens: claim.drafted_tokens,
                accepted_tokens: claim.accepted_tokens,
            },
            timing: Timing {
                queue: self.started - self.submitted,
                prefill: self.prefilled.unwrap_or(now) - self.started,
                first_token: self.first_token.map(|first| first - self.submitted),
                decode: self.first_token.map_or(Duration::ZERO, |first| now - first),
                total: now - self.submitted,
            },
        }
    }
}

impl Claim {
    /// Of a job that has a sequence from its beginning.
    fn new(prompt_tokens: usize, cached_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            cached_tokens,
            drafted_tokens: 0,
            accepted_tokens: 0,
            n_drawn_before: 0,
            n_typed_bytes: 0,
            n_typed_tokens: 0,
        }
    }
}
