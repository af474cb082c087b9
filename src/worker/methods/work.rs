//! Jobs for one request: wait for the model, submit, pass on what happens, gather the ends.
//!
//! Invariants: a request has one outcome; its deltas are numbered from 0 and are sent before its response; whoever
//! cancels it, and by whatever road, the jobs end in the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{SelectAll, unfold};
use runabout_api::notifications::{Delta, Progress};
use runabout_api::{
    self as api, CompleteParams, DeltaParams, Notification, ProgressParams, ProgressStage, ProgressUnit,
};
use runabout_engine::{
    CancelReason, Event, Finish, FinishReason, Job, JobId, Priority, TextStart, Timing, Usage,
};
use runabout_rpc::{CancelledBy, ErrorObjectOwned, NotifyError, RequestContext};
use runabout_text::{Healing, LineEnd, Rules, SamplingParams, TokenId, Trimmed};
use tokio::sync::mpsc::unbounded_channel;

use super::MethodResult;
use crate::convert;
use crate::documents::{Follow, Place, Said};
use crate::encoders;
use crate::held::Held;
use crate::host::{Facts, Model};
use crate::session::{MAX_LOGPROBS, MAX_STOP_STRINGS, MAX_TOKENS, Session};

/// A prompt that takes longer to compute is reported on, this often.
const PREFILL_REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Longer strings to stop at are a mistake.
const MAX_STOP_STRING_BYTES: usize = 1024;

/// What a request's `cancel` is told of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    pub(super) by_cancel: bool,
    pub(super) completion_tokens: u64,
}

/// What `complete` and `chat` have in common, checked.
pub(super) struct Terms {
    pub(super) max_tokens: usize,
    time_budget: Option<Duration>,
    priority: Priority,
    stop: Vec<String>,
    top_logprobs: Option<usize>,
    is_streamed: bool,
    speculate: bool,
    document: Option<Arc<str>>,
}

impl Terms {
    pub(super) fn new(
        max_tokens: u32,
        time_budget_ms: Option<u64>,
        priority: api::Priority,
        stop: Vec<String>,
        logprobs: Option<u32>,
        is_streamed: bool,
    ) -> MethodResult<Self> {
        within("max_tokens", max_tokens, 1, MAX_TOKENS)?;
        within("logprobs", logprobs.unwrap_or(0), 0, MAX_LOGPROBS)?;
        if time_budget_ms == Some(0) {
            return Err(convert::invalid("time_budget_ms", "`time_budget_ms` must be at least 1, got 0"));
        }
        if stop.len() > MAX_STOP_STRINGS {
            let message = format!("`stop` must have at most {MAX_STOP_STRINGS} strings, got {}", stop.len());
            return Err(convert::invalid("stop", message));
        }
        if let Some(i) = stop.iter().position(|it| it.is_empty() || it.len() > MAX_STOP_STRING_BYTES) {
            let field = format!("stop[{i}]");
            let message = format!(
                "`{field}` must have between 1 and {MAX_STOP_STRING_BYTES} bytes, got {}",
                stop[i].len()
            );
            return Err(convert::invalid(&field, message));
        }
        Ok(Self {
            max_tokens: max_tokens as usize,
            time_budget: time_budget_ms.map(Duration::from_millis),
            priority: convert::priority(priority),
            stop,
            top_logprobs: logprobs.map(|it| it as usize),
            is_streamed,
            speculate: false,
            document: None,
        })
    }

    /// Whether tokens may be guessed.
    pub(super) fn speculating(mut self, speculation: api::Speculation) -> Self {
        self.speculate = speculation == api::Speculation::Auto;
        self
    }

    /// What is typed in: its prompts replace one another in the cache.
    pub(super) fn in_document(mut self, document: Option<&str>) -> Self {
        self.document = document.map(Arc::from);
        self
    }

    /// Only the prompt is computed.
    pub(super) fn prefill_only(mut self) -> Self {
        self.max_tokens = 0;
        self.is_streamed = false;
        self
    }
}

/// Strings to stop at, as they meet a text in LF.
fn in_lf(stop: Vec<String>, line_end: Option<LineEnd>) -> Vec<String> {
    match line_end {
        Some(line_end) => stop.iter().map(|it| line_end.stop_to_lf(it).into_owned()).collect(),
        None => stop,
    }
}

pub(super) fn within(field: &str, got: u32, min: u32, max: u32) -> MethodResult<()> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(convert::invalid(field, format!("`{field}` must be between {min} and {max}, got {got}")))
}

/// What is to be computed.
pub(super) struct Prompt {
    pub(super) tokens: Vec<TokenId>,
    pub(super) trimmed: Trimmed,
    pub(super) params: SamplingParams,
    pub(super) end_tokens: Vec<TokenId>,
    pub(super) rules: Option<Rules>,
    pub(super) healing: Option<Healing>,
    pub(super) text_start: TextStart,
    /// How the file ends its lines.
    pub(super) line_end: Option<LineEnd>,
}

/// How a request ended.
pub(super) struct Outcome {
    /// One per choice, at least one.
    pub(super) finishes: Vec<Finish>,
    pub(super) trimmed: Trimmed,
    /// From when the request was read until its jobs were submitted.
    pub(super) waited: Duration,
}

impl Outcome {
    pub(super) fn first(&self) -> &Finish {
        &self.finishes[0]
    }

    pub(super) fn usage(&self) -> api::Usage {
        convert::usage(&self.finishes, &self.trimmed)
    }

    pub(super) fn timing(&self) -> api::Timing {
        convert::timing(self.first(), self.waited)
    }
}

/// One request that makes work.
pub(super) struct Work<'a> {
    session: &'a Arc<Session>,
    request: &'a RequestContext,
    arrived: Instant,
    priority: Priority,
    time_budget: Option<Duration>,
    place: Option<Place<'a>>,
    n_bytes: usize,
    /// While its texts are kept.
    held: Option<Held>,
}

/// A request that makes work, as [`Work::begin`] takes it.
pub(super) struct Order<'t> {
    /// Of its parameters.
    pub(super) n_bytes: usize,
    pub(super) priority: Priority,
    pub(super) time_budget: Option<Duration>,
    pub(super) completion: Option<&'t CompleteParams>,
}

impl<'t> Order<'t> {
    pub(super) fn new(n_bytes: usize, terms: &Terms) -> Self {
        Self { n_bytes, priority: terms.priority, time_budget: terms.time_budget, completion: None }
    }

    pub(super) fn of_completion(self, completion: &'t CompleteParams) -> Self {
        Self { completion: Some(completion), ..self }
    }
}

impl<'a> Work<'a> {
    /// To be called before anything is waited for: the order of calls decides which completion of a document is newest.
    /// Refuses what would hold too much memory while it waits.
    pub(super) fn begin(
        session: &'a Arc<Session>,
        request: &'a RequestContext,
        order: &Order<'_>,
    ) -> MethodResult<Self> {
        let place = order.completion.and_then(|it| session.documents.take(it));
        let held = session.held.hold(order.n_bytes).map_err(convert::no_room)?;
        Ok(Self {
            session,
            request,
            arrived: Instant::now(),
            priority: order.priority,
            time_budget: order.time_budget,
            place,
            n_bytes: order.n_bytes,
            held: Some(held),
        })
    }

    /// Resolves when the request is to end before its time.
    async fn interrupted(&self) -> CancelReason {
        let superseded = async {
            match &self.place {
                Some(it) => it.superseded().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.request.cancelled() => CancelReason::Cancelled,
            () = superseded => CancelReason::Superseded,
        }
    }

    /// Resolves when the request is to end before it became a job.
    async fn ends_early(&self) -> FinishReason {
        let over_budget = async {
            match self.time_budget {
                Some(budget) => tokio::time::sleep(budget.saturating_sub(self.arrived.elapsed())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = self.interrupted() => reason.into(),
            () = over_budget => FinishReason::Budget,
        }
    }

    /// What `make` makes of the request's texts once the model is there and its turn has come, and what is known of the
    /// model; `Ok(Err)`: the request ended first, and has this outcome. `make` may block.
    pub(super) async fn prepare<T: Send + 'static>(
        &mut self,
        make: impl FnOnce(&Model) -> MethodResult<T> + Send + 'static,
    ) -> MethodResult<std::result::Result<(Facts, T), Outcome>> {
        let made = async {
            let model = self.session.host.model().await.map_err(|error| convert::job_error(&error))?;
            let facts = model.facts.clone();
            let made = encoders::encode(self.priority, self.n_bytes, move || make(&model)).await?;
            Ok::<_, ErrorObjectOwned>((facts, made))
        };
        let made = tokio::select! {
            made = made => made.map(Ok),
            reason = self.ends_early() => Ok(Err(self.ended_early(reason)?)),
        };
        // Completions are compared with later ones.
        if self.place.is_none() {
            self.held = None;
        }
        made
    }

    /// Runs `n` jobs of one prompt to their ends.
    pub(super) async fn run(mut self, terms: Terms, prompt: Prompt, n: u32) -> MethodResult<Outcome> {
        let waited = self.arrived.elapsed();
        let supersedes = match self.place.as_ref().map_or(Follow::Nothing, Place::follow) {
            Follow::Nothing => None,
            Follow::Running(supersede) => Some(supersede),
            Follow::Said(said) => return self.say_the_rest(said, &terms, prompt).await,
        };
        let Prompt { tokens, trimmed, params, end_tokens, rules, healing, text_start, line_end } = prompt;
        let stop = in_lf(terms.stop, line_end);
        let mut jobs: Vec<JobId> = Vec::new();
        let mut events = SelectAll::new();
        for choice in 0..n {
            let (sender, receiver) = unbounded_channel();
            let mut params = params.clone();
            params.seed = params.seed.map(|it| it.wrapping_add(choice.into()));
            jobs.push(self.session.host.engine.submit(Job {
                prompt: tokens.clone(),
                params,
                end_tokens: end_tokens.clone(),
                stop: stop.clone(),
                rules: rules.clone(),
                healing: healing.clone(),
                text_start,
                line_end,
                max_tokens: terms.max_tokens,
                // Waiting is part of the budget; what is left may be nothing.
                time_budget: terms.time_budget.map(|it| it.saturating_sub(waited)),
                priority: terms.priority,
                top_logprobs: terms.top_logprobs,
                speculate: terms.speculate,
                document: terms.document.clone(),
                // Only requests for one text follow another.
                supersedes: supersedes.clone().filter(|_| choice == 0),
                events: sender,
            }));
            events.push(Box::pin(unfold(receiver, move |mut receiver| async move {
                receiver.recv().await.map(|event| ((choice, event), receiver))
            })));
        }
        if let (Some(place), Some(job)) = (&mut self.place, jobs.first()) {
            place.runs(*job);
        }

        let mut finishes: Vec<Option<Finish>> = vec![None; jobs.len()];
        let mut failure: Option<ErrorObjectOwned> = None;
        let mut deltas = Deltas { request: self.request, n_sent: 0, n_choices: n };
        let mut last_report = Instant::now();
        let mut is_interrupted = false;
        let end_all = |reason| jobs.iter().for_each(|job| self.session.host.engine.cancel(*job, reason));
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                reason = self.interrupted(), if !is_interrupted => {
                    is_interrupted = true;
                    end_all(reason);
                    continue;
                }
            };
            // All channels are closed: every job has ended.
            let Some((choice, event)) = event else { break };
            match event {
                Event::Prefill { done, total, .. } => {
                    if done < total && last_report.elapsed() >= PREFILL_REPORT_INTERVAL {
                        last_report = Instant::now();
                        self.report_prefill(done, total);
                    }
                }
                Event::Delta { text } if terms.is_streamed => {
                    if let Err(NotifyError::Closed(_)) = deltas.send(choice, text).await {
                        // Nobody reads it.
                        is_interrupted = true;
                        end_all(CancelReason::Cancelled);
                    }
                }
                Event::Delta { .. } => {}
                Event::Finished(finish) => finishes[choice as usize] = Some(finish),
                Event::Failed(error) => {
                    failure.get_or_insert(convert::job_error(&error));
                    end_all(CancelReason::Cancelled);
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let finishes: Vec<Finish> = finishes.into_iter().flatten().collect();
        if finishes.len() != jobs.len() {
            return Err(convert::shutting_down());
        }
        if let (Some(place), Some(finish)) = (&mut self.place, finishes.first()) {
            place.ended(&finish.text, finish.reason);
        }
        self.ended(Outcome { finishes, trimmed, waited })
    }

    /// Answers with what the completion before has said beyond what was typed since; nothing is computed.
    async fn say_the_rest(mut self, said: Said, terms: &Terms, prompt: Prompt) -> MethodResult<Outcome> {
        let waited = self.arrived.elapsed();
        if terms.is_streamed {
            let mut deltas = Deltas { request: self.request, n_sent: 0, n_choices: 1 };
            // Closed: nobody is there to hear it.
            let _ = deltas.send(0, said.text.clone()).await;
        }
        if let Some(place) = &mut self.place {
            place.ended(&said.text, said.reason);
        }
        let n_prompt = prompt.tokens.len();
        let finish = Finish {
            reason: said.reason,
            text: said.text,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage { prompt_tokens: n_prompt, cached_tokens: n_prompt, ..Usage::default() },
            timing: Timing { first_token: Some(Duration::ZERO), ..Timing::default() },
        };
        self.ended(Outcome { finishes: vec![finish], trimmed: prompt.trimmed, waited })
    }

    /// The outcome of a request that ended before it became a job.
    fn ended_early(&self, reason: FinishReason) -> MethodResult<Outcome> {
        let waited = self.arrived.elapsed();
        let finish = Finish {
            reason,
            text: String::new(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage::default(),
            timing: Timing::default(),
        };
        self.ended(Outcome { finishes: vec![finish], trimmed: Trimmed::default(), waited })
    }

    /// Notes the end for whoever cancels, and answers `$/cancelRequest` in LSP's way.
    fn ended(&self, outcome: Outcome) -> MethodResult<Outcome> {
        let by_cancel = outcome.finishes.iter().any(|it| it.reason == FinishReason::Cancelled);
        let completion_tokens = outcome.usage().completion_tokens;
        self.request.note(Ended { by_cancel, completion_tokens });
        if by_cancel && self.request.cancelled_by() == Some(CancelledBy::CancelRequest) {
            return Err(convert::request_cancelled(outcome.first().text.clone()));
        }
        Ok(outcome)
    }

    fn report_prefill(&self, done: usize, total: usize) {
        let params = ProgressParams {
            id: Some(wire_id(self.request)),
            stage: ProgressStage::Prefill,
            done: done as u64,
            total: Some(total as u64),
            unit: ProgressUnit::Tokens,
        };
        // News that lose their worth.
        let _ = self.request.try_notify(Progress::NAME, &params);
    }
}

/// The deltas of one request.
struct Deltas<'a> {
    request: &'a RequestContext,
    n_sent: u64,
    n_choices: u32,
}

impl Deltas<'_> {
    async fn send(&mut self, choice: u32, text: String) -> std::result::Result<(), NotifyError> {
        let params = DeltaParams {
            id: wire_id(self.request),
            seq: self.n_sent,
            text,
            choice: (self.n_choices > 1).then_some(choice),
            reasoning: false,
        };
        self.n_sent += 1;
        self.request.notify(Delta::NAME, &params).await
    }
}

fn wire_id(request: &RequestContext) -> api::RequestId {
    api::RequestId(request.id().as_raw().to_owned())
}
