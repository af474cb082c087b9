//! The step loop: what the engine's thread does all day.
//!
//! Each round takes in what came, plans, runs the model once, and hands out what the step yielded. Nothing
//! else touches the model. Between two steps every job is in one of two lists, waiting or running, so that
//! cancels, budgets and listeners that left are seen before the next step whatever a job is doing. The ends
//! of jobs are told only after the status is published: who asks after an end sees it counted.

use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use runabout_text::{TokenId, Tokenizer};

use crate::{
    cache::{CacheLimits, Donor, InUse, Move, PrefixCache, Slot, Wanted, in_use, policy},
    inbox::{Arrivals, Inbox},
    job::{CancelReason, FinishReason, JobError, JobId, Priority},
    loading::Loaded,
    memory::Allowance,
    model::{LanguageModel, ModelDescription, Sampled, Span, StepError},
    options::EngineOptions,
    pace::Pace,
    reply::Ended,
    scheduler::{self, Applicant, Budget, Candidate, Occupant, Plan, PlannedSpan, Ration, Room},
    sequence::{Extent, Sequence, Waiting},
    speculation::{AcceptanceRate, CostMeter, DraftSource, ModelWithDraft},
    status::Status,
};

/// How often a draft model's drafts are accepted, until some were checked: 7 of 10 with a model a third of the size.
const DRAFT_RATE: AcceptanceRate = AcceptanceRate::estimated(0.7);

pub(crate) struct Stepper {
    model: ModelWithDraft,
    tokenizer: Arc<Tokenizer>,
    options: EngineOptions,
    allowance: Allowance,
    cache: PrefixCache,
    pace: Pace,
    draft_costs: CostMeter,
    /// Of the draft model's drafts, whatever the text.
    draft_rate: AcceptanceRate,
    ration: Ration,
    waiting: Vec<Waiting>,
    running: Vec<Sequence>,
    /// Whether somebody has a place and no memory for it.
    waits_for_memory: bool,
    n_steps: u64,
    /// Decided in this round, told at its end.
    ended: Vec<Ended>,
}

impl Stepper {
    pub(crate) fn new(loaded: Loaded, options: EngineOptions) -> Self {
        let Loaded { model, draft, tokenizer } = loaded;
        let model = ModelWithDraft::new(model, draft);
        let bytes_per_token = model.description().kv_bytes_per_token;
        let allowance =
            Allowance::new(options.memory_limit_bytes, model.memory().active_bytes, bytes_per_token);
        let limits = CacheLimits {
            bytes: options.cache_limit_bytes.min(allowance.kv_bytes()),
            n_slots: options.max_slots,
        };
        Self {
            cache: PrefixCache::new(limits, bytes_per_token, options.n_min_reuse),
            allowance,
            model,
            tokenizer,
            options,
            pace: Pace::default(),
            draft_costs: CostMeter::default(),
            draft_rate: DRAFT_RATE,
            ration: Ration::default(),
            waiting: Vec::new(),
            running: Vec::new(),
            waits_for_memory: false,
            n_steps: 0,
            ended: Vec::new(),
        }
    }

    pub(crate) fn description(&self) -> &ModelDescription {
        self.model.description()
    }

    /// Works until the inbox is closed; running jobs then end as cancelled, with what they have.
    pub(crate) fn run(&mut self, inbox: &Inbox, mut publish: impl FnMut(Status)) {
        publish(self.status());
        while let Some(arrivals) = inbox.drain(self.is_idle()) {
            self.take_in(arrivals);
            self.admit();
            // Nobody waits for a step to hear an end that is decided before it.
            self.settle(inbox, &mut publish);
            self.step();
            self.settle(inbox, &mut publish);
        }
        let now = self.options.clock.now();
        self.end_running(|_| Some(FinishReason::Cancelled), now);
        self.tell_ends();
        self.fail_all(&JobError::ShuttingDown);
    }

    /// Gives every job that is left the same answer. For the end, expected or not; the model is not touched.
    pub(crate) fn fail_all(&mut self, error: &JobError) {
        self.tell_ends();
        for waiting in self.waiting.drain(..) {
            waiting.fail(error.clone()).tell();
        }
        for sequence in self.running.drain(..) {
            sequence.fail(error.clone()).1.tell();
        }
    }

    /// Publishes how things are, and then tells the ends.
    fn settle(&mut self, inbox: &Inbox, publish: &mut impl FnMut(Status)) {
        inbox.set_n_waiting_inside(self.waiting.len());
        publish(self.status());
        self.tell_ends();
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    fn tell_ends(&mut self) {
        for ended in self.ended.drain(..) {
            ended.tell();
        }
    }

    /// Files new jobs, and ends those that shall not go on.
    fn take_in(&mut self, arrivals: Arrivals) {
        let Arrivals { jobs, cancels } = arrivals;
        let now = self.options.clock.now();
        for waiting in jobs {
            self.file(waiting, now);
        }
        let cancelled = |id: JobId, is_abandoned: bool| {
            let named = cancels.iter().find(|(cancelled, _)| *cancelled == id).map(|(_, reason)| *reason);
            named.or(is_abandoned.then_some(CancelReason::Cancelled)).map(FinishReason::from)
        };
        for idx in (0..self.waiting.len()).rev() {
            let waiting = &self.waiting[idx];
            let reason = cancelled(waiting.id, waiting.is_abandoned())
                .or_else(|| waiting.is_over_budget(now).then_some(FinishReason::Budget));
            if let Some(reason) = reason {
                self.ended.push(self.waiting.remove(idx).finish(reason, now));
            }
        }
        self.end_running(
            |sequence| {
                cancelled(sequence.id, sequence.is_abandoned())
                    .or_else(|| sequence.is_over_budget(now).then_some(FinishReason::Budget))
            },
            now,
        );
    }

    /// Puts a job where it belongs: among those that wait, in the place of one that has said what it begins
    /// with, or, if it cannot be done at all, out.
    fn file(&mut self, mut waiting: Waiting, now: Instant) {
        waiting.job.forget_beyond(self.description().vocabulary_size);
        let checked = self.check(&waiting);
        if let Some(supersede) = waiting.job.supersedes.take() {
            if let Some(idx) = self.running.iter().position(|it| it.id == supersede.job) {
                if checked.is_ok() && self.running[idx].has_said(&supersede.typed) {
                    let ended = self.running[idx].hand_over(waiting, &supersede.typed, now);
                    self.ended.push(ended);
                    return;
                }
                self.end(idx, FinishReason::Superseded, now);
            } else if let Some(idx) = self.waiting.iter().position(|it| it.id == supersede.job) {
                self.ended.push(self.waiting.remove(idx).finish(FinishReason::Superseded, now));
            }
        }
        match checked {
            Ok(()) => self.waiting.push(waiting),
            Err(error) => self.ended.push(waiting.fail(error)),
        }
    }

    /// Whether a job can be done at all.
    fn check(&self, waiting: &Waiting) -> Result<(), JobError> {
        let n_tokens = waiting.job.prompt.len();
        let context_length = self.context_length();
        let limit = context_length.saturating_sub(waiting.job.max_tokens.min(1));
        if n_tokens > limit {
            return Err(JobError::PromptTooLong { n_tokens, limit });
        }
        if n_tokens == 0 {
            // A promise that was not kept; without this it would wait for ever.
            return Err(JobError::StepFailed { message: "the prompt has no tokens".to_owned() });
        }
        let vocabulary_size = self.description().vocabulary_size;
        if let Some(&token) = waiting.job.prompt.iter().find(|it| **it as usize >= vocabulary_size) {
            return Err(JobError::UnknownToken { token, vocabulary_size });
        }
        self.allowance.check(waiting.applicant(self.extent(), false).n_reserved)
    }

    /// One step: plans, runs the model, and hands out what it yielded.
    fn step(&mut self) {
        self.move_tokens();
        let before = self.options.clock.now();
        self.draft();
        let started = self.options.clock.now();
        let plan = self.plan();
        if plan.spans.is_empty() {
            // Jobs that are there and never run would turn this loop into a silent spin.
            assert!(self.is_idle(), "expected a plan for the jobs there are, got an empty one");
            return;
        }
        self.make_room(&plan);
        let ahead = self.can_step_ahead(&plan);
        let result = self.feed(&plan, ahead);
        let now = self.options.clock.now();
        self.n_steps += 1;
        match result {
            Ok(drawn) => {
                self.measure(&plan, &drawn, now - started, started - before);
                self.hand_out(&plan, drawn, now);
            }
            Err(error) => self.drop_failed(&plan, &error),
        }
    }

    /// Drafts what follows for those whom the next step serves: from the text itself, or else by the draft model.
    fn draft(&mut self) {
        let context_length = self.context_length();
        // Interactive work has its steps almost to itself; drafts are made for those who share one.
        let class = self.running.iter().map(Sequence::priority).max().unwrap_or(Priority::Background);
        let in_class = |it: &Sequence| it.priority() == class && it.generates();
        let n_rows = self.running.iter().filter(|it| in_class(it)).count();
        let draft_share = self.model.draft_share().filter(|_| n_rows > 0);
        let costs = self.draft_costs.costs(n_rows, &self.pace, draft_share);
        for sequence in &mut self.running {
            sequence.draft_from_text(&costs, context_length);
        }
        if draft_share.is_none() {
            return;
        }
        // What the draft model reads is bounded like what the model does, in which it is faster.
        let mut n_left = self.step_tokens();
        let n_in_time = self.draft_costs.n_drafts_within(self.options.step_target, &self.pace);
        let affordable = n_in_time.min(n_left / n_rows);
        let (mut indices, mut requests, mut n_to_read) = (Vec::new(), Vec::new(), 0);
        for (idx, sequence) in self.running.iter().enumerate().filter(|(_, it)| in_class(it)) {
            let max = sequence.max_drafts_of_model(context_length);
            let n_drafts = match self.options.n_draft_tokens {
                Some(n) => n.min(max),
                None => sequence.drafter().n_from_model(&costs, max.min(affordable)),
            };
            let (slot, tokens) = (sequence.slot.id, sequence.tokens());
            let Some(n_unread) = self.model.n_unread(slot, tokens).filter(|_| n_drafts > 0) else {
                continue;
            };
            let pays =
                self.options.n_draft_tokens.is_some() || costs.reading_pays(n_unread, sequence.n_generated());
            if n_unread <= n_left && pays {
                n_left -= n_unread;
                n_to_read += n_unread;
                indices.push(idx);
                requests.push(sequence.draft_request(n_drafts));
            } else if n_left > 0 && pays {
                let started = self.options.clock.now();
                self.model.read(slot, tokens, n_left);
                self.draft_costs.record_reading(n_left, self.options.clock.now() - started);
                n_left = 0;
            }
        }
        if requests.is_empty() {
            return;
        }
        let started = self.options.clock.now();
        let drafts = self.model.draft(&requests);
        // The token that was drawn last, and a draft that was accepted before it: more than those is reading.
        let n_drafts: usize = drafts.iter().map(Vec::len).sum();
        if n_drafts > 0 && n_to_read <= 2 * drafts.len() {
            self.draft_costs.record_drafting(n_drafts, self.options.clock.now() - started);
        }
        for (idx, drafts) in indices.into_iter().zip(drafts) {
            self.running[idx].take_drafts(drafts);
        }
    }

    fn plan(&mut self) -> Plan {
        let mut candidates: Vec<Candidate> = self.running.iter().map(Sequence::candidate).collect();
        if let Some(suspect) =
            self.running.iter().filter(|it| it.is_suspect()).max_by_key(|it| (it.priority(), Reverse(it.id)))
        {
            candidates.retain(|it| it.id == suspect.id);
        }
        let budget = Budget { n_tokens: self.step_tokens(), n_background: self.ration.n_tokens() };
        let plan = scheduler::plan(&candidates, budget);
        self.ration.count(plan.n_tokens_of(Priority::Interactive), plan.n_tokens_of(Priority::Background));
        plan
    }

    /// How many tokens a step may feed.
    fn step_tokens(&self) -> usize {
        self.pace.step_tokens(self.options.step_target, self.options.prefill_chunk)
    }

    /// Gives slots to jobs as long as there are places, and room.
    fn admit(&mut self) {
        let now = self.options.clock.now();
        let extent = self.extent();
        self.waits_for_memory = false;
        while !self.waiting.is_empty() {
            let applicants: Vec<Applicant> =
                self.waiting.iter().map(|it| it.applicant(extent, self.follows(it))).collect();
            let occupants: Vec<Occupant> = self.running.iter().map(|it| self.occupant(it)).collect();
            let held_bytes = self.options.held_bytes.load(Ordering::Relaxed);
            let n_tokens = self.allowance.n_tokens_beside(held_bytes);
            let room = Room { n_places: self.options.max_running, n_tokens };
            let n_held: usize = occupants.iter().map(|it| it.n_reserved).sum();
            let next = scheduler::admit(&applicants, &occupants, room);
            let Some(idx) = self.waiting.iter().position(|waiting| Some(waiting.id) == next) else {
                let boundless = Room { n_tokens: usize::MAX, ..room };
                self.waits_for_memory = scheduler::admit(&applicants, &occupants, boundless).is_some();
                return;
            };
            let waiting = self.waiting.remove(idx);
            let n_spare = room.n_tokens.saturating_sub(n_held + applicants[idx].n_reserved);
            self.take_up(waiting, n_spare, now);
        }
    }

    /// What a sequence may come to hold, in its slot and the one that it takes tokens from.
    fn occupant(&self, sequence: &Sequence) -> Occupant {
        let n_room = |slot: &Slot| self.model.slot_room(slot.id);
        let mut occupant = sequence.occupant(self.extent(), n_room(&sequence.slot));
        occupant.n_reserved += sequence.donor().map_or(0, |it| n_room(&it.slot));
        occupant
    }

    fn take_up(&mut self, waiting: Waiting, n_spare: usize, now: Instant) {
        let prompt = &waiting.job.prompt;
        let in_use = self.in_use();
        let mut running: Vec<&mut Slot> = self.running.iter_mut().map(|it| &mut it.slot).collect();
        if waiting.job.max_tokens == 0 && self.cache.covers(prompt, &running) {
            self.ended.push(waiting.finish_warm(now));
            return;
        }
        let wanted = Wanted { prompt, document: waiting.job.document.as_ref(), in_use, n_spare };
        let found = self.cache.checkout(&mut self.model, wanted, &mut running);
        tracing::debug!(
            job = waiting.id.0,
            n_prompt = prompt.len(),
            n_cached = found.slot.ledger.len(),
            n_to_move = found.donor.as_ref().map_or(0, Donor::n_to_move),
            "taking up a job"
        );
        let tokenizer = Arc::clone(&self.tokenizer);
        self.running.push(Sequence::start(waiting, found, tokenizer, self.draft_rate, now));
    }

    /// Gives slots what they are to get from others now.
    fn move_tokens(&mut self) {
        for idx in 0..self.running.len() {
            while let Some(due) = self.running[idx].due_move() {
                if let Err(error) = self.move_due(idx, due) {
                    tracing::warn!(%error, "tokens could not be moved");
                    let fresh = Slot::fresh(self.model.open_slot());
                    let failed = self.running[idx].begin_again(fresh);
                    self.model.close_slot(failed.id);
                    self.let_go_of_donor(idx);
                }
            }
        }
    }

    fn move_due(&mut self, idx: usize, due: Move) -> Result<(), StepError> {
        let sequence = &self.running[idx];
        let (slot, n_held) = (sequence.slot.id, sequence.slot.ledger.len());
        let Some(donor) = sequence.donor().map(|it| it.slot.id) else { return Ok(()) };
        let mut in_use = self.in_use();
        let n_room = self.extent().room_for(n_held + due.n_tokens);
        in_use.n_tokens += n_room.saturating_sub(self.model.slot_room(slot));
        self.cache.trim(&mut self.model, in_use);
        self.model.append_shifted(slot, donor, due.from..due.from + due.n_tokens)?;
        self.cache.count_moved(due.n_tokens);
        if let Some(donor) = self.running[idx].moved(due) {
            self.cache.give_back_donor(&mut self.model, donor);
        }
        Ok(())
    }

    fn let_go_of_donor(&mut self, idx: usize) {
        if let Some(donor) = self.running[idx].take_donor() {
            self.cache.give_back_donor(&mut self.model, donor);
        }
    }

    /// Whether a prompt that begins alike is being computed, for somebody who does not go after this one, and
    /// waiting for that saves computing it twice. So the choices of one request share their prompt.
    fn follows(&self, waiting: &Waiting) -> bool {
        let prompt: &[TokenId] = &waiting.job.prompt;
        let n_held = |it: &Sequence| policy::n_usable(&it.slot.ledger, prompt);
        let leads = |it: &&Sequence| it.priority() >= waiting.job.priority;
        let n_soon = |it: &Sequence| Some(policy::n_usable(it.prompt_under_way()?, prompt));
        let longest =
            self.running.iter().filter(leads).filter_map(|it| Some((n_soon(it)?, n_held(it)))).max();
        // Of those that share as much, the one that has come farthest.
        let Some((n_soon, n_there)) = longest else { return false };
        if n_there == n_soon {
            return false;
        }
        let done = self.running.iter().filter(|it| it.prompt_under_way().is_none());
        let n_else = done.map(n_held).chain([self.cache.n_usable(prompt)]).max().unwrap_or(0);
        n_soon >= n_else + policy::MIN_COPY
    }

    /// Whether the next step will feed just what this one draws: all that run generate, nobody waits, and nothing is or
    /// will be drafted.
    fn can_step_ahead(&self, plan: &Plan) -> bool {
        let is_plain = |it: &PlannedSpan| it.sample && it.n_tokens() == 1;
        if !self.waiting.is_empty()
            || self.model.draft_share().is_some()
            || plan.spans.len() != self.running.len()
            || !plan.spans.iter().all(is_plain)
        {
            return false;
        }
        let costs = self.draft_costs.costs(plan.spans.len(), &self.pace, None);
        let context_length = self.context_length();
        self.running.iter().all(|it| it.can_step_ahead(&costs, context_length))
    }

    /// Evicts before the step what would be over the limit after it.
    fn make_room(&mut self, plan: &Plan) {
        let mut in_use = self.in_use();
        let extent = self.extent();
        for planned in &plan.spans {
            if let Some(sequence) = self.running.iter().find(|it| it.id == planned.job) {
                let room = extent.room_for(planned.range.end + planned.n_drafted);
                in_use.n_tokens += room.saturating_sub(self.model.slot_room(sequence.slot.id));
            }
        }
        self.cache.trim(&mut self.model, in_use);
    }

    /// Runs the model once. Its answer has an entry for each span, with tokens exactly where some were asked
    /// for, and no more of them than could be.
    fn feed(&mut self, plan: &Plan, ahead: bool) -> Result<Vec<Vec<Sampled>>, StepError> {
        for planned in &plan.spans {
            if let Some(sequence) = self.running.iter_mut().find(|it| it.id == planned.job) {
                sequence.prepare(planned);
            }
        }
        let by_id = |id| self.running.iter().find(move |sequence| sequence.id == id);
        let spans: Vec<Span<'_>> = plan
            .spans
            .iter()
            .filter_map(|planned| by_id(planned.job).map(|sequence| sequence.span(planned)))
            .collect();
        let drawn = if ahead { self.model.step_ahead(&spans)? } else { self.model.step(&spans)? };
        let is_as_asked = |(span, drawn): (&Span<'_>, &Vec<Sampled>)| {
            if span.sample.is_some() {
                (1..=span.n_drafted + 1).contains(&drawn.len())
            } else {
                drawn.is_empty()
            }
        };
        if drawn.len() == spans.len() && spans.iter().zip(&drawn).all(is_as_asked) {
            Ok(drawn)
        } else {
            let (n_expected, n_got) = (spans.len(), drawn.len());
            Err(StepError {
                message: format!("expected {n_expected} entries of drawn tokens as asked for, got {n_got}"),
            })
        }
    }

    /// Notes what a step took, and what it took to draft before it.
    fn measure(&mut self, plan: &Plan, drawn: &[Vec<Sampled>], elapsed: Duration, drafting: Duration) {
        let by_id = |id| self.running.iter().find(move |sequence| sequence.id == id);
        let n_prompt: usize = plan
            .spans
            .iter()
            .filter_map(|planned| by_id(planned.job).map(|it| it.n_prompt_tokens_in(planned)))
            .sum();
        if n_prompt > 0 {
            self.pace.record_prefill(plan.n_tokens(), n_prompt, elapsed);
        } else {
            let n_drawn = drawn.iter().map(Vec::len).sum();
            self.pace.record_decode(plan.n_tokens(), n_drawn, elapsed, drafting);
            self.draft_costs.record_step(plan.n_tokens(), elapsed, &self.pace);
        }
    }

    fn hand_out(&mut self, plan: &Plan, drawn: Vec<Vec<Sampled>>, now: Instant) {
        let context_length = self.context_length();
        let moment = (self.n_steps, now);
        for (planned, drawn) in plan.spans.iter().zip(drawn) {
            let Some(idx) = self.running.iter().position(|sequence| sequence.id == planned.job) else {
                continue;
            };
            if self.running[idx].draft_source() == DraftSource::DraftModel {
                self.draft_rate.record_step(planned.n_drafted, drawn.len().saturating_sub(1));
            }
            if let Some(reason) = self.running[idx].fed(planned, drawn, context_length, moment) {
                self.end(idx, reason, now);
            }
        }
    }

    /// The slots of a failed step hold nothing that can be trusted; other jobs go on. Of several that shared the
    /// step, each begins again and has its steps to itself until it has drawn a token: the one whose step then
    /// fails is the one that fails.
    fn drop_failed(&mut self, plan: &Plan, error: &StepError) {
        tracing::warn!(%error, n_spans = plan.spans.len(), "a step failed");
        for planned in &plan.spans {
            let Some(idx) = self.running.iter().position(|sequence| sequence.id == planned.job) else {
                continue;
            };
            self.let_go_of_donor(idx);
            let failed = if plan.spans.len() > 1 {
                let fresh = Slot::fresh(self.model.open_slot());
                self.running[idx].begin_again(fresh)
            } else {
                let error = JobError::StepFailed { message: error.message.clone() };
                let (slot, ended) = self.running.remove(idx).fail(error);
                self.ended.push(ended);
                slot
            };
            self.model.close_slot(failed.id);
        }
    }

    fn end_running(&mut self, reason: impl Fn(&Sequence) -> Option<FinishReason>, now: Instant) {
        for idx in (0..self.running.len()).rev() {
            if let Some(reason) = reason(&self.running[idx]) {
                self.end(idx, reason, now);
            }
        }
    }

    fn end(&mut self, idx: usize, reason: FinishReason, now: Instant) {
        self.let_go_of_donor(idx);
        let sequence = self.running.remove(idx);
        tracing::debug!(job = sequence.id.0, ?reason, "a job ends");
        let (slot, ended) = sequence.finish(reason, now);
        self.cache.give_back(&mut self.model, slot);
        let in_use = self.in_use();
        self.cache.trim(&mut self.model, in_use);
        self.ended.push(ended);
    }

    fn in_use(&self) -> InUse {
        in_use(&self.model, self.running.iter().flat_map(Sequence::slots))
    }

    fn extent(&self) -> Extent {
        let description = self.model.description();
        Extent { context_length: description.context_length, kv_step_tokens: description.kv_step_tokens }
    }

    fn context_length(&self) -> usize {
        self.model.description().context_length
    }

    /// Who waits is counted in the inbox, at the moment of asking.
    fn status(&self) -> Status {
        let memory = self.model.memory();
        Status {
            n_waiting: 0,
            n_running: self.running.len(),
            cache: self.cache.status(&self.model, self.running.iter().flat_map(Sequence::slots)),
            memory,
            memory_is_short: self.waits_for_memory || self.allowance.is_short(memory.active_bytes),
            speed: self.pace.speed(),
        }
    }
}
