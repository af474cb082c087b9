//! The step loop that the engine's thread runs.
//!
//! Each round takes what has arrived, admits waiting jobs, plans a step, runs the model once, and distributes the
//! result. Nothing else uses the model. Between two steps every job is in one of two lists, waiting or running, so
//! cancels, time budgets and dropped receivers take effect before the next step, whatever a job is doing. The end of a
//! job is sent after the status that counts it has been published.

mod drafting;
mod slots;

use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use runabout_text::{TokenId, Tokenizer};

use crate::{
    cache::{CacheLimits, Donor},
    inbox::{Arrivals, Inbox},
    job::{CancelReason, FinishReason, Job, JobError, JobId, MIN_KV_TOKENS, Priority},
    loading::{Loaded, Models},
    memory::Allowance,
    model::{LanguageModel, ModelDescription, Sampled, Span, StepError},
    options::EngineOptions,
    pace::Pace,
    scheduler::{
        self, AdmissionLimits, BackgroundShare, Budget, Candidate, Plan, PlannedSpan, SlotRequest, SlotUse,
    },
    sequence::{End, Ended, Sequence, StepContext, WaitingJob},
    speculation::{MAX_DRAFTS_TOGETHER, ModelWithDraft},
    status::Status,
};
use drafting::{Drafting, DraftingLimits};
use slots::Slots;

/// The state of the engine's thread.
pub(crate) struct Stepper {
    slots: Slots,
    tokenizer: Arc<Tokenizer>,
    options: EngineOptions,
    allowance: Allowance,
    pace: Pace,
    /// The number of tokens in all steps so far.
    n_computed: u64,
    drafting: Drafting,
    background: BackgroundShare,
    waiting: Vec<WaitingJob>,
    running: Vec<Sequence>,
    /// Whether a job could start if there were more memory.
    waits_for_memory: bool,
    n_steps: u64,
    /// Decided in this round, sent at its end.
    ended: Vec<Ended>,
}

impl Stepper {
    pub(crate) fn new(loaded: Loaded, options: EngineOptions) -> Self {
        let Loaded { models: Models { model, draft }, tokenizer } = loaded;
        let model = ModelWithDraft::new(model, draft);
        let (limit_bytes, loaded_bytes) = (options.memory_limit_bytes, model.memory().active_bytes);
        // Each running job of both priorities draws a token, and after each draft another one.
        let n_draws = 2 * (options.max_running + options.max_running_for_others) + MAX_DRAFTS_TOGETHER;
        let step_bytes = model.description().step_cost.bytes(options.prefill_chunk.max(n_draws), n_draws);
        let allowance = Allowance::new(limit_bytes, loaded_bytes, step_bytes);
        let limits = CacheLimits {
            bytes: options.cache_limit_bytes.min(allowance.kv_bytes()),
            n_slots: options.max_slots,
        };
        Self {
            slots: Slots::new(model, limits, options.n_min_reuse),
            tokenizer,
            allowance,
            pace: Pace::default(),
            n_computed: 0,
            drafting: Drafting::new(options.n_draft_tokens),
            background: BackgroundShare::default(),
            waiting: Vec::new(),
            running: Vec::new(),
            waits_for_memory: false,
            n_steps: 0,
            ended: Vec::new(),
            options,
        }
    }

    pub(crate) fn description(&self) -> &ModelDescription {
        self.slots.model.description()
    }

    /// Works until the inbox is closed. Running jobs then end as cancelled, with the text they have.
    pub(crate) fn run(&mut self, inbox: &Inbox, mut publish: impl FnMut(Status)) {
        publish(self.status());
        while let Some(arrivals) = inbox.drain(self.is_idle()) {
            self.take_in(arrivals);
            self.admit();
            // Ends that are already decided are sent before the step.
            self.finish_round(inbox, &mut publish);
            self.step();
            self.finish_round(inbox, &mut publish);
        }
        let now = self.options.clock.now();
        self.end_running(|_| Some(FinishReason::Cancelled), now);
        self.send_ends();
        self.fail_all(&JobError::ShuttingDown);
    }

    /// Answers all jobs with the same error. Does not use the model, which may be broken.
    pub(crate) fn fail_all(&mut self, error: &JobError) {
        self.send_ends();
        for waiting in self.waiting.drain(..) {
            waiting.fail(error.clone()).send();
        }
        for sequence in self.running.drain(..) {
            sequence.fail(error.clone()).1.send();
        }
    }

    /// Publishes the status, then sends the ends that it counts.
    fn finish_round(&mut self, inbox: &Inbox, publish: &mut impl FnMut(Status)) {
        inbox.set_waiting_inside(self.waiting.iter().map(|it| it.job.client));
        publish(self.status());
        self.send_ends();
    }

    fn send_ends(&mut self) {
        for ended in self.ended.drain(..) {
            ended.send();
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Takes new jobs, and ends those that were cancelled, whose receiver was dropped, or that are over their time
    /// budget.
    fn take_in(&mut self, arrivals: Arrivals) {
        let Arrivals { jobs, cancels } = arrivals;
        let now = self.options.clock.now();
        for waiting in jobs {
            self.accept(waiting, now);
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

    /// Adds a new job to the queue. A job that cannot be done ends immediately; one that supersedes another ends it or
    /// takes over its sequence.
    fn accept(&mut self, mut waiting: WaitingJob, now: Instant) {
        waiting.job.remove_unknown_tokens(self.description().vocabulary_size);
        let context_length = self.context_length();
        waiting.job.max_kv_tokens =
            waiting.job.max_kv_tokens.map(|it| it.min(context_length).max(MIN_KV_TOKENS));
        let checked = self.check(&waiting);
        if let Some(supersede) = waiting.job.supersedes.take() {
            if let Some(idx) = self.running.iter().position(|it| it.id == supersede.job) {
                if checked.is_ok() && self.running[idx].can_hand_over(&supersede.typed) {
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
    fn check(&self, waiting: &WaitingJob) -> Result<(), JobError> {
        let n_tokens = waiting.job.prompt.len();
        let limit = self.context_length().saturating_sub(waiting.job.max_tokens.min(1));
        if waiting.job.max_kv_tokens.is_some() {
            let ModelDescription { architecture, can_shift, .. } = self.description();
            if !can_shift {
                return Err(JobError::CannotDrop { architecture: architecture.clone() });
            }
        } else if n_tokens > limit {
            return Err(JobError::PromptTooLong { n_tokens, limit });
        }
        if n_tokens == 0 {
            // Callers promise not to do this. Without the check the job would wait forever.
            return Err(JobError::StepFailed { message: "the prompt has no tokens".to_owned() });
        }
        let vocabulary_size = self.description().vocabulary_size;
        let near = waiting.job.near.iter().flat_map(|it| &it.prompt);
        let unknown = waiting.job.prompt.iter().chain(near).find(|it| **it as usize >= vocabulary_size);
        if let Some(&token) = unknown {
            return Err(JobError::UnknownToken { token, vocabulary_size });
        }
        self.allowance.check(waiting.slot_request(self.slots.sizing(), false).reserved_bytes)
    }

    /// Starts waiting jobs while there are slots and memory for them.
    fn admit(&mut self) {
        let now = self.options.clock.now();
        let sizing = self.slots.sizing();
        self.waits_for_memory = false;
        while !self.waiting.is_empty() {
            self.slots.share_prefixes(&self.waiting, &mut self.running);
            let waits_for_prefix = |it| self.slots.should_wait_for_prefix(it, &self.running);
            let requests: Vec<SlotRequest> =
                self.waiting.iter().map(|it| it.slot_request(sizing, waits_for_prefix(it))).collect();
            let uses: Vec<SlotUse> = self.running.iter().map(|it| self.slots.slot_use(it)).collect();
            let held_bytes = self.options.held_bytes.load(Ordering::Relaxed);
            let bytes = self.allowance.kv_bytes_beside(held_bytes);
            let limits = AdmissionLimits {
                n_running: self.options.max_running,
                n_for_others: self.options.max_running_for_others,
                bytes,
            };
            let Some(idx) = scheduler::admit(&requests, &uses, limits) else {
                let without_memory_limit = AdmissionLimits { bytes: u64::MAX, ..limits };
                self.waits_for_memory = scheduler::admit(&requests, &uses, without_memory_limit).is_some();
                return;
            };
            let waiting = self.waiting.remove(idx);
            let reserved_bytes: u64 = uses.iter().map(|it| it.reserved_bytes).sum();
            let spare_bytes = limits.bytes.saturating_sub(reserved_bytes + requests[idx].reserved_bytes);
            self.start(waiting, spare_bytes, now);
        }
    }

    /// Gives a job its slot. `spare_bytes` is the memory that there is beyond all reservations.
    fn start(&mut self, mut waiting: WaitingJob, spare_bytes: u64, now: Instant) {
        if self.prefers_near(&waiting.job) {
            waiting.use_near();
        }
        let job = &waiting.job;
        if job.max_tokens == 0 && self.slots.is_warm(&job.prompt, &self.running) {
            self.ended.push(waiting.finish_warm(now));
            return;
        }
        let checked_out = self.slots.checkout(job, &mut self.running, spare_bytes);
        tracing::debug!(
            job = waiting.id.0,
            n_prompt = job.prompt.len(),
            n_cached = checked_out.slot.n_fed(),
            n_to_move = checked_out.donor.as_ref().map_or(0, Donor::n_to_move),
            "starting a job"
        );
        let tokenizer = Arc::clone(&self.tokenizer);
        let needs_checkpoints = self.description().slot_cost.needs_checkpoints();
        let (known, rate) = (self.drafting.known(), self.drafting.rate());
        let sequence = Sequence::start(waiting, checked_out, tokenizer, known, rate, needs_checkpoints, now);
        self.running.push(sequence);
    }

    /// Whether a job's prompt would take too long; see [`NearPrompt`](crate::NearPrompt).
    fn prefers_near(&self, job: &Job) -> bool {
        let Some(near) = job.near.as_ref().filter(|_| job.max_tokens > 0) else { return false };
        let n_new = |prompt: &[TokenId]| prompt.len() - self.slots.n_cached(prompt, &self.running);
        let (n_whole, n_near) = (n_new(&job.prompt), n_new(&near.prompt));
        let seconds = self.pace.seconds_per_prompt_token().map(|it| it * n_whole as f64);
        2 * n_near <= n_whole && seconds.is_none_or(|it| it > near.patience.as_secs_f64())
    }

    /// Takes one step: plans it, runs the model, and distributes the result.
    fn step(&mut self) {
        self.slots.move_tokens(&mut self.running);
        self.drop_tokens();
        let before = self.options.clock.now();
        self.draft();
        self.restrict();
        let started = self.options.clock.now();
        let mut plan = self.plan();
        if plan.spans.is_empty() {
            // Otherwise jobs that never run would make this loop spin silently.
            assert!(self.running.is_empty(), "expected a plan for the existing jobs, got an empty one");
            return;
        }
        self.slots.make_room(&mut plan, &mut self.running);
        let result = self.feed(&plan);
        let now = self.options.clock.now();
        self.n_steps += 1;
        match result {
            Ok(drawn) => {
                self.measure(&plan, &drawn, now - started, started - before);
                self.hand_out(&plan, drawn, now);
            }
            Err(error) => self.recover(&plan, &error),
        }
    }

    /// Makes room in full slots whose jobs go on.
    fn drop_tokens(&mut self) {
        for idx in (0..self.running.len()).rev() {
            let Some(tokens) = self.running[idx].due_drop() else { continue };
            if let Err(error) = self.slots.drop_tokens(&mut self.running[idx], tokens) {
                tracing::warn!(%error, "tokens could not be dropped");
                let error = JobError::StepFailed { message: error.message };
                let (slot, ended) = self.running.remove(idx).fail(error);
                self.slots.discard(slot.id);
                self.ended.push(ended);
            }
        }
    }

    fn draft(&mut self) {
        // What the draft model may read is limited like what the model is fed; the draft model is the faster one.
        let limits = DraftingLimits { n_tokens: self.step_tokens(), target: self.options.step_target };
        let clock = self.options.clock.as_ref();
        self.drafting.draft(&mut self.running, &mut self.slots.model, &self.pace, limits, clock);
    }

    /// Decides what each sequence may draw. Jobs fail whose format cannot be followed.
    fn restrict(&mut self) {
        for idx in (0..self.running.len()).rev() {
            if let Err(error) = self.running[idx].restrict() {
                self.fail(idx, error.into());
            }
        }
    }

    fn plan(&mut self) -> Plan {
        let candidates: Vec<Candidate> = self.running.iter().map(Sequence::candidate).collect();
        let budget = Budget { n_tokens: self.step_tokens(), n_background: self.background.n_tokens() };
        let plan = scheduler::plan(&candidates, budget);
        self.background
            .count(plan.n_tokens_of(Priority::Interactive), plan.n_tokens_of(Priority::Background));
        plan
    }

    /// The number of tokens that a step may feed.
    fn step_tokens(&self) -> usize {
        self.pace.step_tokens(self.options.step_target, self.options.prefill_chunk)
    }

    /// Whether the step after the planned one will feed exactly the drawn tokens: all running sequences generate, no
    /// job waits, and nothing is or will be drafted. Then the model may start it early.
    fn can_step_ahead(&self, plan: &Plan) -> bool {
        let is_one_token = |it: &PlannedSpan| it.sample && it.n_tokens() == 1 && !it.checkpoint;
        if !self.waiting.is_empty()
            || self.slots.model.draft_share().is_some()
            || plan.spans.len() != self.running.len()
            || !plan.spans.iter().all(is_one_token)
        {
            return false;
        }
        let costs = self.drafting.text_costs(plan.spans.len(), &self.pace);
        let context_length = self.context_length();
        self.running.iter().all(|it| it.can_step_ahead(self.drafting.known(), &costs, context_length))
    }

    /// Runs the model once. The result has an entry for each span: if the span draws, at least one token and at most
    /// one more than it has drafts; otherwise none.
    fn feed(&mut self, plan: &Plan) -> Result<Vec<Vec<Sampled>>, StepError> {
        let ahead = self.can_step_ahead(plan);
        let spans: Vec<Span<'_>> = plan.spans.iter().map(|it| self.running[it.idx].span(it)).collect();
        let model = &mut self.slots.model;
        let drawn = if ahead { model.step_ahead(&spans)? } else { model.step(&spans)? };
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
                message: format!("expected {n_expected} entries of drawn tokens as requested, got {n_got}"),
            })
        }
    }

    /// Records how long a step took, and how long drafting before it took.
    fn measure(&mut self, plan: &Plan, drawn: &[Vec<Sampled>], elapsed: Duration, drafting: Duration) {
        self.n_computed += plan.n_tokens() as u64;
        let n_prompt: usize = plan.spans.iter().map(|it| self.running[it.idx].n_prompt_tokens_in(it)).sum();
        if n_prompt > 0 {
            self.pace.record_prefill(plan.n_tokens(), n_prompt, elapsed);
        } else {
            let n_drawn = drawn.iter().map(Vec::len).sum();
            self.pace.record_decode(plan.n_tokens(), n_drawn, elapsed, drafting);
            self.drafting.record_step(plan.n_tokens(), elapsed, &self.pace);
        }
    }

    /// Gives the drawn tokens of a step to its sequences, and ends the jobs that are done.
    fn hand_out(&mut self, plan: &Plan, drawn: Vec<Vec<Sampled>>, now: Instant) {
        let context = StepContext { step: self.n_steps, now, context_length: self.context_length() };
        let mut ends = Vec::new();
        for (planned, drawn) in plan.spans.iter().zip(drawn) {
            let sequence = &mut self.running[planned.idx];
            self.drafting.record_drafts(sequence, planned.n_drafted, drawn.len());
            if let Some(end) = sequence.take_step(planned, drawn, context, self.drafting.known_mut()) {
                ends.push((planned.idx, end));
            }
        }
        // From the last to the first, as each removal moves those after it.
        ends.sort_by_key(|(idx, _)| Reverse(*idx));
        for (idx, end) in ends {
            match end {
                End::Finished(reason) => self.end(idx, reason, now),
                End::Failed(error) => self.fail(idx, error),
            }
        }
    }

    /// Handles a failed step, after which the contents of its slots are undefined. A job that was alone in it fails. If
    /// several shared it, each starts again in a new slot and runs alone until it has drawn a token; if a step fails
    /// then, its job fails. Other jobs are not affected.
    fn recover(&mut self, plan: &Plan, error: &StepError) {
        tracing::warn!(%error, n_spans = plan.spans.len(), "a step failed");
        if let [planned] = plan.spans.as_slice() {
            self.slots.give_back_donor(&mut self.running[planned.idx]);
            let error = JobError::StepFailed { message: error.message.clone() };
            let (slot, ended) = self.running.remove(planned.idx).fail(error);
            self.slots.discard(slot.id);
            self.ended.push(ended);
        } else {
            for planned in &plan.spans {
                self.slots.restart(&mut self.running[planned.idx]);
            }
        }
    }

    /// Ends the running jobs for which `reason` returns one.
    fn end_running(&mut self, reason: impl Fn(&Sequence) -> Option<FinishReason>, now: Instant) {
        for idx in (0..self.running.len()).rev() {
            if let Some(reason) = reason(&self.running[idx]) {
                self.end(idx, reason, now);
            }
        }
    }

    /// Ends a running job, and keeps its slot for later prompts.
    fn end(&mut self, idx: usize, reason: FinishReason, now: Instant) {
        let mut sequence = self.running.remove(idx);
        tracing::debug!(job = sequence.id.0, ?reason, "a job ends");
        self.drafting.record_text(&sequence);
        self.slots.give_back_donor(&mut sequence);
        let (slot, ended) = sequence.finish(reason, now);
        self.slots.give_back(slot, &mut self.running);
        self.ended.push(ended);
    }

    /// Ends a running job with an error of its own, and keeps its slot for later prompts.
    fn fail(&mut self, idx: usize, error: JobError) {
        let mut sequence = self.running.remove(idx);
        tracing::debug!(job = sequence.id.0, %error, "a job fails");
        self.slots.give_back_donor(&mut sequence);
        let (slot, ended) = sequence.fail(error);
        self.slots.give_back(slot, &mut self.running);
        self.ended.push(ended);
    }

    fn context_length(&self) -> usize {
        self.description().context_length
    }

    /// The inbox counts waiting jobs, at the moment of the call.
    fn status(&self) -> Status {
        let memory = self.slots.model.memory();
        Status {
            n_waiting: 0,
            n_running: self.running.len(),
            cache: self.slots.status(&self.running),
            memory,
            memory_is_short: self.waits_for_memory || self.allowance.is_short(memory.active_bytes),
            n_computed: self.n_computed,
            speed: self.pace.speed(),
        }
    }
}
