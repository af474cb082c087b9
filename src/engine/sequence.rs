//! One job inside the engine: [`WaitingJob`] before it has a slot, [`Sequence`] while it has one.
//!
//! A sequence is a job with a slot, its tokens and its text. It tells the scheduler what it has to feed
//! ([`Sequence::candidate`]), gives the model its span ([`Sequence::span`]), and takes what the step yielded
//! ([`Sequence::take_step`]). It ends by being consumed into an [`Ended`], so it cannot end twice; or it is
//! [handed over](Sequence::hand_over) to a newer job, whose user typed what it had generated.
//!
//! A sequence knows neither the model nor other sequences.

mod output;
mod reply;
mod text;
mod times;
mod tokens;
mod waiting;

use std::{sync::Arc, time::Instant};

use runabout_text::{TokenId, Tokenizer};

use crate::{
    cache::{CheckedOut, Donor, Move, Slot},
    job::{Finish, FinishReason, Job, JobError, JobId, Priority, Usage},
    memory::SlotSizing,
    model::{SampleRequest, Sampled, Span},
    scheduler::{Candidate, Occupant, PlannedSpan},
    speculation::{AcceptanceRate, DraftCosts, DraftRequest, DraftSource, Drafter, MAX_DRAFTS},
};
pub(crate) use reply::Ended;
use reply::Reply;
use text::GeneratedText;
use times::Times;
use tokens::Tokens;
pub(crate) use waiting::WaitingJob;

/// A job with a slot.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: JobId,
    job: Job,
    reply: Reply,
    pub(crate) slot: Slot,
    /// While it holds tokens that this sequence's slot is to get.
    donor: Option<Donor>,
    tokens: Tokens,
    text: GeneratedText,
    drafter: Drafter,
    /// The job's, or one that was drawn when it started.
    seed: u64,
    /// Tokens drawn since the start, an end token counted.
    n_drawn: usize,
    /// Counted for the job that has the sequence now.
    usage: Usage,
    times: Times,
    /// The number of the last step that fed it.
    last_step: u64,
    /// Whether a step failed that it shared with others; see [`Candidate::is_suspect`].
    is_suspect: bool,
}

/// What a sequence is told of the step that fed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepContext {
    /// Counted from the start of the engine.
    pub(crate) step: u64,
    pub(crate) now: Instant,
    pub(crate) context_length: usize,
}

impl Sequence {
    /// Starts a job in a slot that holds the beginning of its prompt. `draft_rate`: see [`Drafter::new`].
    pub(crate) fn start(
        waiting: WaitingJob,
        CheckedOut { slot, donor }: CheckedOut,
        tokenizer: Arc<Tokenizer>,
        draft_rate: AcceptanceRate,
        now: Instant,
    ) -> Self {
        let WaitingJob { id, mut job, reply, submitted } = waiting;
        let tokens = Tokens::new(std::mem::take(&mut job.prompt));
        let (n_prompt, n_cached) = (tokens.n_prompt(), slot.ledger.len());
        reply.prefill(n_cached, n_prompt, n_cached);
        let may_draft = job.speculate && job.max_tokens > 1;
        Self {
            id,
            text: GeneratedText::new(tokenizer, &mut job),
            seed: job.params.seed.unwrap_or_else(|| fastrand::u64(..)),
            drafter: Drafter::new(may_draft, tokens.prompt(), draft_rate),
            job,
            reply,
            slot,
            donor,
            tokens,
            n_drawn: 0,
            usage: Usage { prompt_tokens: n_prompt, cached_tokens: n_cached, ..Usage::default() },
            times: Times::started(submitted, now),
            last_step: 0,
            is_suspect: false,
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        self.job.priority
    }

    /// Whether its listener is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    pub(crate) fn is_over_budget(&self, now: Instant) -> bool {
        self.job.is_over_budget(self.times.submitted, now)
    }

    /// What admission sees of it. The tokens that its slot and its donor's have memory for are counted from the model.
    pub(crate) fn occupant(&self, sizing: SlotSizing, n_slot_room: usize, n_donor_room: usize) -> Occupant {
        // After a hand-over the new job's prompt ends where typing has come to, which may be a few tokens beyond the
        // sequence's own prompt.
        let n_prompt = self.tokens.n_prompt().max(self.usage.prompt_tokens);
        let n_reserved = sizing
            .reserved_for(n_prompt, &self.job)
            .max(sizing.room_for(self.tokens.n_known()))
            .max(n_slot_room);
        Occupant { priority: self.job.priority, n_reserved: n_reserved + n_donor_room }
    }

    /// What the scheduler sees of it.
    pub(crate) fn candidate(&self) -> Candidate {
        let next_move = self.next_move();
        Candidate {
            id: self.id,
            priority: self.job.priority,
            n_fed: self.slot.ledger.len(),
            // Tokens that another slot has are moved, not fed.
            n_known: next_move.map_or(self.tokens.n_known(), |it| it.to),
            draws: self.job.max_tokens > 0 && next_move.is_none(),
            n_drafted: self.tokens.n_drafts(),
            last_step: self.last_step,
            is_suspect: self.is_suspect,
        }
    }

    /// Whether its next step draws a token.
    pub(crate) fn generates(&self) -> bool {
        self.slot.ledger.len() + 1 == self.tokens.n_known() && self.job.max_tokens > 0
    }

    /// The prompt, while its slot does not hold all of it.
    pub(crate) fn unfinished_prompt(&self) -> Option<&[TokenId]> {
        (self.slot.ledger.len() < self.tokens.n_prompt()).then(|| self.tokens.prompt())
    }

    /// The prompt and what was generated.
    pub(crate) fn known_tokens(&self) -> &[TokenId] {
        self.tokens.known()
    }

    pub(crate) fn n_generated(&self) -> usize {
        self.tokens.n_generated()
    }

    /// How many of the planned tokens belong to the prompt.
    pub(crate) fn n_prompt_tokens_in(&self, planned: &PlannedSpan) -> usize {
        planned.range.end.min(self.tokens.n_prompt()).saturating_sub(planned.range.start)
    }

    /// The slots that only this sequence uses: its own, and the donor's.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        std::iter::once(&self.slot).chain(self.donor().map(|it| &it.slot))
    }

    pub(crate) fn donor(&self) -> Option<&Donor> {
        self.donor.as_ref()
    }

    /// Gives the donor up; what was still to be moved is computed.
    pub(crate) fn take_donor(&mut self) -> Option<Donor> {
        self.donor.take()
    }

    fn next_move(&self) -> Option<Move> {
        self.donor.as_ref()?.next()
    }

    /// The tokens that its slot is to get from the donor's before the next step.
    pub(crate) fn due_move(&self) -> Option<Move> {
        self.next_move().filter(|it| it.to == self.slot.ledger.len())
    }

    /// Notes that the slot has got those tokens. Returns the donor after the last of them.
    pub(crate) fn take_moved(&mut self, moved: Move) -> Option<Donor> {
        let tokens = &self.tokens.known()[moved.to..moved.to + moved.n_tokens];
        self.slot.ledger.extend_from_slice(tokens);
        self.usage.cached_tokens += moved.n_tokens;
        self.reply.prefill(self.slot.ledger.len(), self.tokens.n_prompt(), self.usage.cached_tokens);
        if let Some(donor) = &mut self.donor {
            donor.advance();
        }
        self.donor.take_if(|it| it.next().is_none())
    }

    /// Drafts what follows from the text itself, for the next step.
    pub(crate) fn draft_from_text(&mut self, costs: &DraftCosts, context_length: usize) {
        let max = self.max_drafts(context_length);
        let drafts = self.drafter.draft_from_text(self.tokens.known(), costs, max);
        self.tokens.set_drafts(&drafts);
    }

    /// How many drafts a draft model should make; 0 where there are drafts from the text. `fixed`: as many as are of use,
    /// up to this number, whatever they cost. `affordable`: no more than this otherwise.
    pub(crate) fn n_drafts_of_model(
        &self,
        costs: &DraftCosts,
        fixed: Option<usize>,
        affordable: usize,
        context_length: usize,
    ) -> usize {
        let max = if self.tokens.n_drafts() == 0 { self.max_drafts(context_length) } else { 0 };
        match fixed {
            Some(n) => n.min(max),
            None => self.drafter.n_from_model(costs, max.min(affordable)),
        }
    }

    /// Asks a draft model for drafts.
    pub(crate) fn draft_request(&self, n_drafts: usize) -> DraftRequest<'_> {
        let sample = self.sample_after(self.tokens.n_known());
        DraftRequest { slot: self.slot.id, sample, end_tokens: &self.job.end_tokens, n_drafts }
    }

    /// Takes the drafts of a draft model, for the next step.
    pub(crate) fn take_drafts(&mut self, drafts: &[TokenId]) {
        self.tokens.set_drafts(drafts);
        self.drafter.use_drafts_of_model();
    }

    /// Who made the drafts of the last step.
    pub(crate) fn draft_source(&self) -> DraftSource {
        self.drafter.source()
    }

    /// How many drafts could be of use now.
    fn max_drafts(&self, context_length: usize) -> usize {
        let may_draft = self.drafter.is_allowed() && self.generates() && self.text.allowed().is_none();
        // The last token that may be drawn needs no draft: it is drawn in any case.
        if may_draft { self.n_drawable(context_length).saturating_sub(1).min(MAX_DRAFTS) } else { 0 }
    }

    /// Whether the step after the next one will feed it the token that the next one draws, and nothing else.
    pub(crate) fn can_step_ahead(&self, costs: &DraftCosts, context_length: usize) -> bool {
        self.n_drawable(context_length) > 1
            && !self.drafter.will_draft(costs)
            && self.text.allowed().is_none()
    }

    /// How many tokens may still be drawn.
    fn n_drawable(&self, context_length: usize) -> usize {
        self.n_tokens_left().min(context_length.saturating_sub(self.tokens.n_known()))
    }

    /// How many tokens the job may still have. What was typed does not count, it is part of the prompt by now.
    fn n_tokens_left(&self) -> usize {
        let n_of_job = self.tokens.n_generated().saturating_sub(self.text.n_typed_tokens());
        self.job.max_tokens.saturating_sub(n_of_job)
    }

    /// The span that was planned, for the model.
    pub(crate) fn span(&self, planned: &PlannedSpan) -> Span<'_> {
        let end = planned.range.end + planned.n_drafted;
        Span {
            slot: self.slot.id,
            tokens: &self.tokens.all()[planned.range.start..end],
            n_drafted: planned.n_drafted,
            sample: planned.sample.then(|| self.sample_after(end)),
        }
    }

    /// How the token after the first `n` is drawn; those beyond the known ones are drafts.
    fn sample_after(&self, n: usize) -> SampleRequest<'_> {
        SampleRequest {
            params: &self.job.params,
            history: &self.tokens.all()[..n],
            n_generated: self.n_drawn as u64,
            seed: self.seed,
            top_logprobs: self.job.top_logprobs,
            allowed: self.text.allowed(),
        }
    }

    /// Takes what a step yielded: the slot holds the planned span now, up to the last accepted draft, and drawn tokens
    /// become text. Returns the reason if the job ends with that.
    pub(crate) fn take_step(
        &mut self,
        planned: &PlannedSpan,
        drawn: Vec<Sampled>,
        context: StepContext,
    ) -> Option<FinishReason> {
        let (n_drawn, n_accepted) = (drawn.len(), drawn.len().saturating_sub(1));
        self.last_step = context.step;
        // Once a token is drawn, what a failed step lost is there again.
        self.is_suspect &= drawn.is_empty();
        let held = &self.tokens.all()[planned.range.start..planned.range.end + n_accepted];
        self.slot.ledger.extend_from_slice(held);
        self.tokens.clear_drafts();
        let (n_held, n_prompt) = (self.slot.ledger.len(), self.tokens.n_prompt());
        if planned.range.start < n_prompt {
            self.reply.prefill(n_held.min(n_prompt), n_prompt, self.usage.cached_tokens);
        }
        if n_held >= n_prompt {
            self.times.note_prefilled(context.now);
        }
        self.usage.drafted_tokens += planned.n_drafted;
        let n_before = self.tokens.n_known();
        let mut end = None;
        for (idx, sampled) in drawn.into_iter().enumerate() {
            self.usage.accepted_tokens += usize::from(idx < n_accepted);
            end = self.push(sampled, context);
            if end.is_some() {
                break;
            }
        }
        let n_new = self.tokens.n_known() - n_before;
        self.drafter.record_step(planned.n_drafted, n_drawn, self.tokens.known(), n_new);
        let is_warm = self.job.max_tokens == 0 && n_held == n_prompt;
        end.or(is_warm.then_some(FinishReason::Length))
    }

    /// Takes a drawn token: into the text, and out as a delta.
    fn push(&mut self, sampled: Sampled, context: StepContext) -> Option<FinishReason> {
        let Sampled { token, logprobs } = sampled;
        self.n_drawn += 1;
        self.usage.completion_tokens += 1;
        self.times.note_token(context.now);
        if self.job.end_tokens.contains(&token) {
            return Some(FinishReason::Eos);
        }
        self.tokens.push(token);
        let pushed = self.text.push(token, logprobs);
        self.reply.delta(pushed.delta);
        if pushed.stopped_by.is_some() {
            pushed.stopped_by
        } else if self.n_drawable(context.context_length) == 0 {
            Some(FinishReason::Length)
        } else {
            None
        }
    }

    /// Starts again in an empty slot after a failed step, and returns the slot that this left. No text is lost.
    pub(crate) fn restart(&mut self, slot: Slot) -> Slot {
        self.is_suspect = true;
        self.tokens.clear_drafts();
        std::mem::replace(&mut self.slot, slot)
    }

    /// Whether the job's text so far begins with what was typed.
    pub(crate) fn text_begins_with(&self, typed: &str) -> bool {
        self.text.of_job().starts_with(typed)
    }

    /// Continues as the sequence of `newer`, whose prompt is this job's with `typed` behind it; the text
    /// [begins](Self::text_begins_with) with that. What follows it goes out as the first delta of the newer job. The
    /// older job ends as superseded, with all of its text.
    pub(crate) fn hand_over(&mut self, newer: WaitingJob, typed: &str, now: Instant) -> Ended {
        let WaitingJob { id, mut job, reply, submitted } = newer;
        let finish = self.finish_so_far(FinishReason::Superseded, now);
        let n_prompt = std::mem::take(&mut job.prompt).len();
        self.text.move_to_prompt(typed.len());
        self.usage = Usage { prompt_tokens: n_prompt, cached_tokens: n_prompt, ..Usage::default() };
        let rest = self.text.of_job().to_owned();
        self.times = Times::handed_over(self.times, submitted, !rest.is_empty(), now);
        reply.prefill(n_prompt, n_prompt, n_prompt);
        reply.delta(rest);
        (self.id, self.job) = (id, job);
        Ended { reply: std::mem::replace(&mut self.reply, reply), outcome: Ok(finish) }
    }

    /// Ends the job with what there is, text held back included. Returns the slot too.
    pub(crate) fn finish(self, reason: FinishReason, now: Instant) -> (Slot, Ended) {
        let mut finish = self.finish_so_far(reason, now);
        let Self { text, reply, slot, .. } = self;
        let (last, text, stopped_by) = text.finish();
        reply.delta(last);
        finish.text = text;
        let ended_by_itself = matches!(reason, FinishReason::Eos | FinishReason::Length);
        if let Some(reason) = stopped_by.filter(|_| ended_by_itself) {
            finish.reason = reason;
        }
        (slot, Ended { reply, outcome: Ok(finish) })
    }

    /// Ends the job with an error. Whether the returned slot holds anything of use is for the caller to judge.
    pub(crate) fn fail(self, error: JobError) -> (Slot, Ended) {
        (self.slot, Ended { reply: self.reply, outcome: Err(error) })
    }

    /// The job's end if it were now, without text that is held back.
    fn finish_so_far(&self, reason: FinishReason, now: Instant) -> Finish {
        Finish {
            reason,
            text: self.text.of_job().to_owned(),
            tokens: self.tokens.generated().get(self.text.n_typed_tokens()..).unwrap_or_default().to_vec(),
            logprobs: self.text.logprobs_of_job().to_vec(),
            usage: self.usage,
            timing: self.times.timing(now),
        }
    }
}
