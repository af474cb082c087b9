//! The step loop: what the engine's thread does all day.
//!
//! Each round takes in what came, plans, runs the model once, and hands out what the step yielded. Nothing
//! else touches the model. Between two steps every job is in one of two lists, waiting or running, so that
//! cancels, budgets and listeners that left are seen before the next step whatever a job is doing. The ends
//! of jobs are told only after the status is published: who asks after an end sees it counted.

use std::{sync::Arc, time::Instant};

use runabout_text::Tokenizer;

use crate::{
    cache::{CacheLimits, InUse, PrefixCache},
    engine::{EngineOptions, Loaded},
    inbox::{Arrivals, Inbox},
    job::{CancelReason, FinishReason, JobError, JobId},
    model::{LanguageModel, Sampled, Span, StepError},
    pace::Pace,
    reply::Ended,
    scheduler::{self, Candidate, Plan},
    sequence::{Sequence, Waiting},
    status::Status,
};

pub(crate) struct Stepper {
    model: Box<dyn LanguageModel>,
    tokenizer: Arc<Tokenizer>,
    options: EngineOptions,
    cache: PrefixCache,
    pace: Pace,
    waiting: Vec<Waiting>,
    running: Vec<Sequence>,
    /// Decided in this round, told at its end.
    ended: Vec<Ended>,
}

impl Stepper {
    pub(crate) fn new(loaded: Loaded, options: EngineOptions) -> Self {
        let Loaded { model, tokenizer } = loaded;
        let limits = CacheLimits { bytes: options.cache_limit_bytes, n_slots: options.max_slots };
        Self {
            cache: PrefixCache::new(limits, model.description().kv_bytes_per_token),
            model,
            tokenizer,
            options,
            pace: Pace::default(),
            waiting: Vec::new(),
            running: Vec::new(),
            ended: Vec::new(),
        }
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
            match self.check(&waiting) {
                Ok(()) => self.waiting.push(waiting),
                Err(error) => self.ended.push(waiting.fail(error)),
            }
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

    /// Whether a job can be done at all.
    fn check(&self, waiting: &Waiting) -> Result<(), JobError> {
        let n_tokens = waiting.job.prompt.len();
        let limit = self.model.description().context_length.saturating_sub(waiting.job.max_tokens.min(1));
        if n_tokens > limit {
            return Err(JobError::PromptTooLong { n_tokens, limit });
        }
        if n_tokens == 0 {
            // A promise that was not kept; without this it would wait for ever.
            return Err(JobError::StepFailed { message: "the prompt has no tokens".to_owned() });
        }
        Ok(())
    }

    /// One step: plans, runs the model, and hands out what it yielded.
    fn step(&mut self) {
        let started = self.options.clock.now();
        let candidates: Vec<Candidate> = self.running.iter().map(Sequence::candidate).collect();
        let chunk = self.pace.prefill_chunk(self.options.step_target, self.options.prefill_chunk);
        let plan = scheduler::plan(&candidates, chunk);
        if plan.spans.is_empty() {
            // Jobs that are there and never run would turn this loop into a silent spin.
            assert!(self.is_idle(), "expected a plan for the jobs there are, got an empty one");
            return;
        }
        self.make_room(&plan);
        let result = self.feed(&plan);
        let now = self.options.clock.now();
        match result {
            Ok(sampled) => {
                self.measure(&plan, started, now);
                self.hand_out(&plan, sampled, now);
            }
            Err(error) => self.drop_failed(&plan, &error),
        }
    }

    /// Gives slots to jobs until the next in line has one.
    fn admit(&mut self) {
        let now = self.options.clock.now();
        loop {
            let waiting = self.waiting.iter().map(Waiting::candidate);
            let candidates: Vec<Candidate> =
                waiting.chain(self.running.iter().map(Sequence::candidate)).collect();
            let next = scheduler::admit(&candidates);
            let Some(idx) = self.waiting.iter().position(|waiting| Some(waiting.id) == next) else { return };
            let waiting = self.waiting.remove(idx);
            if waiting.job.max_tokens == 0 && self.cache.covers(&waiting.job.prompt) {
                self.ended.push(waiting.finish_warm(now));
                continue;
            }
            let slot = self.cache.checkout(self.model.as_mut(), &waiting.job.prompt);
            tracing::debug!(
                job = waiting.id.0,
                n_prompt = waiting.job.prompt.len(),
                n_cached = slot.ledger.len(),
                "taking up a job"
            );
            self.running.push(Sequence::start(waiting, slot, Arc::clone(&self.tokenizer), now));
        }
    }

    /// Evicts before the step what would be over the limit after it.
    fn make_room(&mut self, plan: &Plan) {
        let n_growing: usize = plan.spans.iter().map(|span| span.range.len()).sum();
        let mut in_use = self.in_use();
        in_use.n_tokens += n_growing;
        self.cache.trim(self.model.as_mut(), in_use);
    }

    /// Runs the model once. Its answer has an entry for each span, filled exactly where one was asked for.
    fn feed(&mut self, plan: &Plan) -> Result<Vec<Vec<Sampled>>, StepError> {
        let by_id = |id| self.running.iter().find(move |sequence| sequence.id == id);
        let spans: Vec<Span<'_>> = plan
            .spans
            .iter()
            .filter_map(|planned| by_id(planned.job).map(|it| it.span(planned.range.clone(), planned.sample)))
            .collect();
        let sampled = self.model.step(&spans)?;
        let as_asked = sampled.len() == spans.len()
            && spans.iter().zip(&sampled).all(|(span, sampled)| span.sample.is_some() != sampled.is_empty());
        if as_asked {
            Ok(sampled)
        } else {
            let (n_expected, n_got) = (spans.len(), sampled.len());
            Err(StepError {
                message: format!("expected {n_expected} drawn or empty entries as asked for, got {n_got}"),
            })
        }
    }

    fn measure(&mut self, plan: &Plan, started: Instant, now: Instant) {
        let n_tokens: usize = plan.spans.iter().map(|planned| planned.range.len()).sum();
        let n_prompt: usize = plan
            .spans
            .iter()
            .filter_map(|planned| {
                let sequence = self.running.iter().find(|sequence| sequence.id == planned.job)?;
                Some(sequence.n_prompt_tokens_in(&planned.range))
            })
            .sum();
        if n_prompt > 0 {
            self.pace.record_prefill(n_prompt, now - started);
        } else {
            self.pace.record_decode(n_tokens, now - started);
        }
    }

    fn hand_out(&mut self, plan: &Plan, sampled: Vec<Vec<Sampled>>, now: Instant) {
        let context_length = self.model.description().context_length;
        for (planned, sampled) in plan.spans.iter().zip(sampled) {
            let Some(idx) = self.running.iter().position(|sequence| sequence.id == planned.job) else {
                continue;
            };
            let sequence = &mut self.running[idx];
            let prefilled = sequence.fed(planned.range.clone(), now);
            let drawn = sampled.into_iter().find_map(|it| sequence.push(it, context_length, now));
            if let Some(reason) = drawn.or(prefilled) {
                self.end(idx, reason, now);
            }
        }
    }

    /// The slots of a failed step hold nothing that can be trusted; other jobs go on.
    fn drop_failed(&mut self, plan: &Plan, error: &StepError) {
        tracing::warn!(%error, "a step failed");
        for planned in &plan.spans {
            let Some(idx) = self.running.iter().position(|sequence| sequence.id == planned.job) else {
                continue;
            };
            let error = JobError::StepFailed { message: error.message.clone() };
            let (slot, ended) = self.running.remove(idx).fail(error);
            self.model.close_slot(slot.id);
            self.ended.push(ended);
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
        let sequence = self.running.remove(idx);
        tracing::debug!(job = sequence.id.0, ?reason, "a job ends");
        let (slot, ended) = sequence.finish(reason, now);
        self.cache.give_back(self.model.as_mut(), slot);
        let in_use = self.in_use();
        self.cache.trim(self.model.as_mut(), in_use);
        self.ended.push(ended);
    }

    fn in_use(&self) -> InUse {
        InUse { n_slots: self.running.len(), n_tokens: self.running.iter().map(Sequence::n_held).sum() }
    }

    /// Who waits is counted in the inbox, at the moment of asking.
    fn status(&self) -> Status {
        Status {
            n_waiting: 0,
            n_running: self.running.len(),
            cache: self.cache.status(self.in_use()),
            memory: self.model.memory(),
            speed: self.pace.speed(),
        }
    }
}
