//! One job inside the engine: [`WaitingJob`] before it has a slot, [`Sequence`] while it has one.
//!
//! A sequence is a job with a slot, its tokens and its text. It tells the scheduler what to feed it
//! ([`Sequence::candidate`]), gives the model its span ([`Sequence::span`]), and takes the result of the step
//! ([`Sequence::take_step`]). It is consumed when it ends, which yields an [`Ended`], so it cannot end twice; or it is
//! [handed over](Sequence::hand_over) to a newer job whose user typed what it had generated.
//!
//! It knows neither the model nor other sequences.

mod borders;
mod output;
mod reply;
mod text;
mod times;
mod tokens;
mod waiting;

use std::{ops::Range, sync::Arc, time::Instant};

use runabout_text::{FormatFailed, TokenId, TokenSet, Tokenizer};

use crate::{
    cache::{CheckedOut, Donor, Move, Slot},
    job::{Finish, FinishReason, Job, JobError, JobId, Priority, Usage},
    memory::SlotSizing,
    model::{SampleRequest, Sampled, Span},
    scheduler::{Candidate, PlannedSpan, SlotUse},
    speculation::{AcceptanceRate, DraftCosts, DraftRequest, DraftSource, Drafter, KnownTexts, MAX_DRAFTS},
};
use borders::Borders;
pub(crate) use reply::Ended;
use reply::Reply;
use text::{FinishedText, GeneratedText};
use times::Times;
use tokens::Tokens;
pub(crate) use waiting::WaitingJob;

/// How many first tokens stay when a slot drops some, as in mlx_lm: models attend to the first ones however far they are.
const N_FIRST_KEPT: usize = 4;

/// The fraction of a full slot that is dropped at a time: a quarter. Each time, all that stays is moved.
const DROPPED_PARTS: usize = 4;

/// A job with a slot.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: JobId,
    job: Job,
    reply: Reply,
    pub(crate) slot: Slot,
    /// Present while it holds tokens for this sequence's slot.
    donor: Option<Donor>,
    tokens: Tokens,
    borders: Borders,
    text: GeneratedText,
    /// What the next step may draw; see [`SampleRequest::allowed`]. `None` until that is computed.
    allowed: Option<Vec<TokenSet>>,
    drafter: Drafter,
    /// The job's seed, or one that was drawn when it started.
    seed: u64,
    /// The number of tokens drawn since the start, including an end token.
    n_drawn: usize,
    /// Counted for the job that currently has the sequence.
    usage: Usage,
    times: Times,
    /// The number of the last step that fed it.
    last_step: u64,
    /// Whether it took part in a failed step together with others; see [`Candidate::is_suspect`].
    is_suspect: bool,
}

/// How a job ends.
#[derive(Debug)]
pub(crate) enum End {
    Finished(FinishReason),
    Failed(JobError),
}

/// Facts about the step that fed a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepContext {
    /// Counted from the start of the engine.
    pub(crate) step: u64,
    pub(crate) now: Instant,
    pub(crate) context_length: usize,
}

impl Sequence {
    /// Starts a job in a slot that holds the beginning of its prompt. `known` and `draft_rate`: see [`Drafter::new`].
    pub(crate) fn start(
        waiting: WaitingJob,
        CheckedOut { slot, donor, n_common }: CheckedOut,
        tokenizer: Arc<Tokenizer>,
        known: &KnownTexts,
        draft_rate: AcceptanceRate,
        needs_checkpoints: bool,
        now: Instant,
    ) -> Self {
        let WaitingJob { id, mut job, reply, submitted, n_left_out } = waiting;
        let tokens = Tokens::new(std::mem::take(&mut job.prompt));
        let (n_prompt, n_cached) = (tokens.n_prompt(), slot.n_fed());
        let borders = if needs_checkpoints {
            Borders::new(n_prompt, &job.borders, n_common, n_cached, slot.checkpoints.last())
        } else {
            Borders::unneeded()
        };
        reply.prefill(n_cached, n_prompt, n_cached);
        let may_draft = job.speculate && job.max_tokens > 1;
        Self {
            id,
            text: GeneratedText::new(tokenizer, &mut job),
            allowed: None,
            seed: job.params.seed.unwrap_or_else(|| fastrand::u64(..)),
            drafter: Drafter::new(may_draft, tokens.prompt(), known, draft_rate),
            job,
            reply,
            slot,
            donor,
            tokens,
            borders,
            n_drawn: 0,
            usage: Usage {
                prompt_tokens: n_prompt,
                cached_tokens: n_cached,
                left_out_tokens: n_left_out,
                ..Usage::default()
            },
            times: Times::started(submitted, now),
            last_step: 0,
            is_suspect: false,
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        self.job.priority
    }

    /// Whether the receiver of its events is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    pub(crate) fn is_over_budget(&self, now: Instant) -> bool {
        self.job.is_over_budget(self.times.submitted, now)
    }

    /// What admission needs to know about it. `slot_bytes` is the memory that its slot has without checkpoints, which
    /// are dropped if memory is needed; `donor_bytes` that of its donor.
    pub(crate) fn slot_use(&self, sizing: SlotSizing, slot_bytes: u64, donor_bytes: u64) -> SlotUse {
        // After a hand-over, the new job's prompt ends at the typed position, which may be a few tokens beyond the
        // sequence's own prompt.
        let n_prompt = self.tokens.n_prompt().max(self.usage.prompt_tokens);
        let reserved_bytes = sizing
            .reserved_for(n_prompt, &self.job)
            .max(sizing.bytes_for(self.tokens.n_known().min(self.job.max_kv_tokens.unwrap_or(usize::MAX))))
            .max(slot_bytes);
        let Job { client, priority, .. } = self.job;
        SlotUse { client, priority, reserved_bytes: reserved_bytes + donor_bytes }
    }

    /// What the scheduler needs to know about it.
    pub(crate) fn candidate(&self) -> Candidate {
        let next_move = self.next_move();
        // Before more is fed, some are dropped.
        let n_most = self.n_slot_left().saturating_add(self.slot.n_fed());
        Candidate {
            id: self.id,
            client: self.job.client,
            priority: self.job.priority,
            n_fed: self.slot.n_fed(),
            // Tokens that another slot has are moved and not fed.
            n_known: next_move.map_or(self.tokens.n_known(), |it| it.to).min(n_most),
            draws: self.job.max_tokens > 0 && next_move.is_none() && self.tokens.n_known() <= n_most,
            n_drafted: self.tokens.n_drafts(),
            border: self.borders.next(self.slot.n_fed()),
            checkpoint_from: self.borders.far_from(self.slot.checkpoints.last()),
            last_step: self.last_step,
            is_suspect: self.is_suspect,
        }
    }

    /// Whether its next step draws a token.
    pub(crate) fn generates(&self) -> bool {
        self.slot.n_fed() + 1 == self.tokens.n_known() && self.job.max_tokens > 0
    }

    /// The prompt, until its slot holds all of it; `None` if it never will.
    pub(crate) fn unfinished_prompt(&self) -> Option<&[TokenId]> {
        let n_prompt = self.tokens.n_prompt();
        let will_drop = self.job.max_kv_tokens.is_some_and(|it| it < n_prompt);
        (self.slot.n_fed() < n_prompt && !will_drop).then(|| self.tokens.prompt())
    }

    /// Asks for a checkpoint after the first `n_tokens`, if they are not fed yet, since another prompt begins with them.
    pub(crate) fn share(&mut self, n_tokens: usize) {
        if n_tokens > self.slot.n_fed() {
            self.borders.add(n_tokens);
        }
    }

    /// The prompt and what was generated.
    pub(crate) fn known_tokens(&self) -> &[TokenId] {
        self.tokens.known()
    }

    pub(crate) fn n_generated(&self) -> usize {
        self.tokens.n_generated()
    }

    /// What was generated, after at most `n_before` tokens of the prompt.
    pub(crate) fn generated_after(&self, n_before: usize) -> &[TokenId] {
        &self.tokens.known()[self.tokens.n_prompt().saturating_sub(n_before)..]
    }

    /// The number of planned tokens that belong to the prompt.
    pub(crate) fn n_prompt_tokens_in(&self, planned: &PlannedSpan) -> usize {
        planned.range.end.min(self.tokens.n_prompt()).saturating_sub(planned.range.start)
    }

    /// The slots that only this sequence uses: its own and the donor's.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        std::iter::once(&self.slot).chain(self.donor().map(|it| &it.slot))
    }

    pub(crate) fn donor(&self) -> Option<&Donor> {
        self.donor.as_ref()
    }

    /// Gives up the donor; tokens that remained to be moved are computed instead.
    pub(crate) fn take_donor(&mut self) -> Option<Donor> {
        self.donor.take()
    }

    fn next_move(&self) -> Option<Move> {
        self.donor.as_ref()?.next()
    }

    /// The tokens that must be moved to its slot before the next step.
    pub(crate) fn due_move(&self) -> Option<Move> {
        self.next_move().filter(|it| it.to == self.slot.n_fed())
    }

    /// Records that those tokens were moved. Returns the donor after the last of them.
    pub(crate) fn take_moved(&mut self, moved: Move) -> Option<Donor> {
        let tokens = &self.tokens.known()[moved.to..moved.to + moved.n_tokens];
        self.slot.note_fed(tokens);
        self.usage.cached_tokens += moved.n_tokens;
        self.reply.prefill(self.slot.n_fed(), self.tokens.n_prompt(), self.usage.cached_tokens);
        if let Some(donor) = &mut self.donor {
            donor.advance();
        }
        self.donor.take_if(|it| it.next().is_none())
    }

    /// The positions in its slot of the tokens to drop before the next step, if the slot is full.
    pub(crate) fn due_drop(&self) -> Option<Range<usize>> {
        let n_most = self.job.max_kv_tokens?;
        let is_due = self.n_slot_left() == 0 && self.slot.n_fed() < self.tokens.n_known();
        is_due.then(|| N_FIRST_KEPT..N_FIRST_KEPT + n_most.saturating_sub(N_FIRST_KEPT) / DROPPED_PARTS)
    }

    /// The number of tokens that its slot takes before some must be dropped.
    fn n_slot_left(&self) -> usize {
        self.job.max_kv_tokens.map_or(usize::MAX, |it| it.saturating_sub(self.slot.n_held()))
    }

    /// Drafts from the text itself and from `known` texts, for the next step: at most `n_left`. Returns their number.
    pub(crate) fn draft_from_text(
        &mut self,
        known: &KnownTexts,
        costs: &DraftCosts,
        n_left: usize,
        context_length: usize,
    ) -> usize {
        let max = self.max_drafts(context_length).min(n_left);
        let drafts = self.drafter.draft_from_text(self.tokens.known(), known, costs, max);
        self.tokens.set_drafts(&drafts);
        drafts.len()
    }

    /// The number of drafts that a draft model should make; 0 if there are drafts from the text. With `fixed` it is
    /// that number as far as drafts are useful, whatever they cost; otherwise it is at most `affordable`.
    pub(crate) fn n_drafts_of_model(
        &self,
        costs: &DraftCosts,
        fixed: Option<usize>,
        affordable: usize,
        context_length: usize,
    ) -> usize {
        // The draft model's slot has a ledger of its own, and drops nothing.
        let is_useful = self.tokens.n_drafts() == 0 && self.job.max_kv_tokens.is_none();
        let max = if is_useful { self.max_drafts(context_length) } else { 0 };
        match fixed {
            Some(n) => n.min(max),
            None => self.drafter.n_from_model(costs, max.min(affordable)),
        }
    }

    /// The request for drafts from a draft model.
    pub(crate) fn draft_request(&self, n_drafts: usize) -> DraftRequest<'_> {
        let sample = self.sample_after(self.tokens.n_known());
        // Drafts that the format does not allow are removed afterwards.
        let sample = SampleRequest { allowed: &[], ..sample };
        DraftRequest { slot: self.slot.id, sample, end_tokens: &self.job.end_tokens, n_drafts }
    }

    /// Sets the drafts of a draft model, for the next step.
    pub(crate) fn take_drafts(&mut self, drafts: &[TokenId]) {
        self.tokens.set_drafts(drafts);
        self.drafter.use_drafts_of_model();
    }

    /// Where the drafts of the last step came from.
    pub(crate) fn draft_source(&self) -> DraftSource {
        self.drafter.source()
    }

    /// The number of drafts that could be useful now.
    fn max_drafts(&self, context_length: usize) -> usize {
        let may_draft = self.drafter.is_allowed() && self.generates() && self.text.output().takes_drafts();
        // The last token that may be drawn needs no draft, since it is drawn anyway.
        let n = self.n_drawable(context_length).min(self.n_slot_left()).saturating_sub(1);
        if may_draft { n.min(MAX_DRAFTS) } else { 0 }
    }

    /// Whether the step after the next one will feed only the token that the next one draws.
    pub(crate) fn can_step_ahead(
        &self,
        known: &KnownTexts,
        costs: &DraftCosts,
        context_length: usize,
    ) -> bool {
        self.n_drawable(context_length).min(self.n_slot_left()) > 1
            && !self.drafter.will_draft(known, costs)
            && self.text.output().is_free()
    }

    /// The number of tokens that may still be drawn.
    fn n_drawable(&self, context_length: usize) -> usize {
        // A slot that drops tokens is never full.
        let n_most = if self.job.max_kv_tokens.is_some() { usize::MAX } else { context_length };
        self.n_tokens_left().min(n_most.saturating_sub(self.tokens.n_known()))
    }

    /// The number of tokens that the job may still get. What was typed does not count, since it is part of the prompt
    /// now.
    fn n_tokens_left(&self) -> usize {
        let n_of_job = self.tokens.n_generated().saturating_sub(self.text.n_typed_tokens());
        self.job.max_tokens.saturating_sub(n_of_job)
    }

    /// The span for the model, as planned.
    pub(crate) fn span(&self, planned: &PlannedSpan) -> Span<'_> {
        let end = planned.range.end + planned.n_drafted;
        Span {
            slot: self.slot.id,
            tokens: &self.tokens.all()[planned.range.start..end],
            n_drafted: planned.n_drafted,
            sample: planned.sample.then(|| self.sample_after(end)),
            checkpoint: planned.checkpoint,
        }
    }

    /// How to draw the token after the first `n`; tokens beyond the known ones are drafts.
    fn sample_after(&self, n: usize) -> SampleRequest<'_> {
        SampleRequest {
            params: &self.job.params,
            history: &self.tokens.all()[..n],
            n_generated: self.n_drawn as u64,
            seed: self.seed,
            top_logprobs: self.job.top_logprobs,
            allowed: self.allowed.as_deref().unwrap_or_default(),
        }
    }

    /// Decides what the next step may draw, and removes drafts that the job's format does not allow.
    pub(crate) fn restrict(&mut self) -> Result<(), FormatFailed> {
        if self.allowed.is_none() || self.tokens.n_drafts() > 0 {
            let allowed = self.text.allowed(self.tokens.drafts(), &self.job.end_tokens)?;
            self.tokens.keep_drafts(allowed.n_drafts);
            self.allowed = Some(allowed.sets);
        }
        Ok(())
    }

    /// Takes the result of a step: the slot now holds the planned span up to the last accepted draft, and the drawn
    /// tokens become text, followed by those that the job's format forces. Returns how the job ends, if this ends it.
    pub(crate) fn take_step(
        &mut self,
        planned: &PlannedSpan,
        drawn: Vec<Sampled>,
        context: StepContext,
        known: &mut KnownTexts,
    ) -> Option<End> {
        let (n_drawn, n_accepted) = (drawn.len(), drawn.len().saturating_sub(1));
        self.last_step = context.step;
        // Once a token is drawn, what the failed step lost has been computed again.
        self.is_suspect &= drawn.is_empty();
        let held = &self.tokens.all()[planned.range.start..planned.range.end + n_accepted];
        self.slot.note_fed(held);
        if planned.checkpoint {
            self.slot.checkpoints.push(planned.range.end, self.borders.contains(planned.range.end));
        }
        self.tokens.clear_drafts();
        self.allowed = self.allowed.take().filter(|_| drawn.is_empty());
        let (n_fed, n_prompt) = (self.slot.n_fed(), self.tokens.n_prompt());
        if planned.range.start < n_prompt {
            self.reply.prefill(n_fed.min(n_prompt), n_prompt, self.usage.cached_tokens);
        }
        if n_fed >= n_prompt {
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
        if end.is_none() && n_drawn > 0 {
            end = self.push_forced(context);
        }
        let n_new = self.tokens.n_known() - n_before;
        self.drafter.record_step(planned.n_drafted, n_drawn, self.tokens.known(), n_new, known);
        let is_warm = self.job.max_tokens == 0 && n_fed == n_prompt;
        end.or(is_warm.then_some(End::Finished(FinishReason::Length)))
    }

    /// Adds the tokens that are certain to come next, without a step for each.
    fn push_forced(&mut self, context: StepContext) -> Option<End> {
        if self.job.top_logprobs.is_some() {
            // A probability is known only for a token that the model draws.
            return None;
        }
        let forced = self.text.forced().into_iter();
        let mut sampled = forced.map(|token| Sampled { token, own_logprob: 0.0, logprobs: None });
        sampled.find_map(|it| self.push(it, context))
    }

    /// Adds a token to the text and sends the delta.
    fn push(&mut self, sampled: Sampled, context: StepContext) -> Option<End> {
        let token = sampled.token;
        self.n_drawn += 1;
        self.usage.completion_tokens += 1;
        self.times.note_token(context.now);
        if self.job.end_tokens.contains(&token) {
            return Some(End::Finished(FinishReason::Eos));
        }
        self.tokens.push(token);
        let pushed = match self.text.push(sampled) {
            Ok(pushed) => pushed,
            Err(error) => return Some(End::Failed(error.into())),
        };
        if !pushed.delta.is_empty() {
            self.reply.delta(pushed.delta, self.text.confidence());
        }
        let reason = if pushed.stopped_by.is_some() {
            pushed.stopped_by
        } else if self.text.output().is_complete() {
            Some(FinishReason::Eos)
        } else if self.n_drawable(context.context_length) == 0 {
            Some(FinishReason::Length)
        } else {
            None
        };
        reason.map(End::Finished)
    }

    /// Starts again in an empty slot after a failed step, and returns the old slot. No text is lost.
    pub(crate) fn restart(&mut self, slot: Slot) -> Slot {
        self.is_suspect = true;
        self.tokens.clear_drafts();
        std::mem::replace(&mut self.slot, slot)
    }

    /// Whether a job whose user typed this can continue the sequence: the job's text so far begins with it, and has no
    /// format, which would hold for what follows.
    pub(crate) fn can_hand_over(&self, typed: &str) -> bool {
        !self.text.output().is_constrained() && self.text.of_job().starts_with(typed)
    }

    /// Continues as the sequence of `newer`, whose prompt is this job's prompt followed by `typed`, which it
    /// [can](Self::can_hand_over). The text after that is sent as the newer job's first delta. The older job ends
    /// as superseded, with all of its text.
    pub(crate) fn hand_over(&mut self, newer: WaitingJob, typed: &str, now: Instant) -> Ended {
        let WaitingJob { id, mut job, reply, submitted, .. } = newer;
        let finish = self.finish_so_far(FinishReason::Superseded, now);
        let n_left_out = self.usage.left_out_tokens;
        let n_prompt = std::mem::take(&mut job.prompt).len().saturating_sub(n_left_out);
        self.text.move_to_prompt(typed.len());
        self.usage = Usage {
            prompt_tokens: n_prompt,
            cached_tokens: n_prompt,
            left_out_tokens: n_left_out,
            ..Usage::default()
        };
        let rest = self.text.sent_of_job().to_owned();
        self.times = Times::handed_over(self.times, submitted, !rest.is_empty(), now);
        reply.prefill(n_prompt, n_prompt, n_prompt);
        reply.delta(rest, self.text.confidence());
        (self.id, self.job) = (id, job);
        Ended { reply: std::mem::replace(&mut self.reply, reply), outcome: Ok(finish) }
    }

    /// Ends the job with the text so far, including text that was held back. Also returns the slot.
    pub(crate) fn finish(self, reason: FinishReason, now: Instant) -> (Slot, Ended) {
        let so_far = self.finish_so_far(reason, now);
        let Self { text, reply, slot, .. } = self;
        let FinishedText { delta, text, likelihood, reason } = text.finish(reason);
        reply.delta(delta, likelihood.confidence());
        let finish = Finish { reason, text, likelihood, ..so_far };
        (slot, Ended { reply, outcome: Ok(finish) })
    }

    /// Ends the job with an error. The caller decides whether the slot's contents are still usable.
    pub(crate) fn fail(self, error: JobError) -> (Slot, Ended) {
        (self.slot, Ended { reply: self.reply, outcome: Err(error) })
    }

    /// The finish if the job ended now, without text that is held back.
    fn finish_so_far(&self, reason: FinishReason, now: Instant) -> Finish {
        Finish {
            reason,
            text: self.text.sent_of_job().to_owned(),
            likelihood: self.text.likelihood_of_job(),
            tokens: self.tokens.generated().get(self.text.n_typed_tokens()..).unwrap_or_default().to_vec(),
            logprobs: self.text.logprobs_of_job().to_vec(),
            usage: self.usage,
            timing: self.times.timing(now),
            is_incomplete: self.text.output().is_incomplete(),
        }
    }
}
