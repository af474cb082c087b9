//! One request in progress: [`Run`], a stream of updates from the first prompt token to the outcome.
//!
//! A run waits for the model, builds its prompt, submits a job for each choice and follows the jobs to their end.
//! Invariants: the last update is [`Update::Done`] or an error; the texts of a choice, joined, are the text of its
//! finish; however a run ends, even by being dropped, its jobs in the engine end too.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll, unfold};
use runabout_engine::{
    CancelReason, ClientId, Engine, Event, Finish, FinishReason, Job, JobError, JobId, Likelihood, Supersede,
    Timing, Usage,
};
use runabout_text::{LineEnd, Piece, Tokenizer, Trimmed, Turn, TurnReader};
use tokio::sync::mpsc::unbounded_channel;

use crate::documents::{Continued, FinishedText, Newest};
use crate::encoding::encode;
use crate::error::Error;
use crate::generation::Generation;
use crate::held::Held;
use crate::model::{Facts, Model, ModelHandle};
use crate::prompt::Prompt;

/// The interval of progress reports on a prompt. Prompts that take less time are not reported.
const PREFILL_REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// The events of a request, in order.
#[derive(Debug)]
pub enum Update {
    /// `done` of the prompt's `total` tokens have been computed. Reported twice a second, so only for long prompts.
    Prefill { done: usize, total: usize },
    /// More text of a choice, which is counted from 0. Never empty; the text is final. `confidence` is the probability,
    /// from 0 to 1, that the model gives to the choice's first line so far.
    Text { choice: u32, text: String, confidence: Option<f64> },
    /// More of what the model thinks before its answer, in a conversation. Never empty; the text is final.
    Reasoning { text: String },
    /// The end, always the last update.
    Done(Outcome),
}

/// How a request ended.
#[derive(Debug)]
pub struct Outcome {
    /// One per choice, at least one.
    pub finishes: Vec<Finish>,
    /// In a conversation: the model's turn, whose content is the text of the only finish.
    pub turn: Turn,
    /// What was left out because it did not fit into the model's context, or would have taken too long.
    pub trimmed: Trimmed,
    /// The time from the request's arrival until its jobs were submitted; the times in `finishes` count from there.
    pub waited: Duration,
    /// The model's tokenizer, for the texts of tokens; `None` if the request ended before the model was ready.
    pub tokenizer: Option<Arc<Tokenizer>>,
}

/// A request in progress. Call [`next`](Self::next) until it returns `None`. Dropping the run ends its jobs too, since
/// the engine ends a job whose events are not received.
pub struct Run {
    engine: Engine,
    client: ClientId,
    arrived: Instant,
    generation: Generation,
    n_choices: u32,
    /// A text with a lower confidence is withheld.
    min_confidence: Option<f64>,
    /// If 0, only the prompt is computed.
    max_tokens: usize,
    /// A newer prompt with the same name replaces this one in the engine's cache.
    document: Option<Arc<str>>,
    newest: Option<Newest>,
    /// Present while the request's texts are kept.
    held: Option<Held>,
    is_cancelled: bool,
    stage: Stage,
}

/// A request that was accepted.
pub(crate) struct Accepted {
    pub(crate) client: ClientId,
    pub(crate) generation: Generation,
    pub(crate) n_choices: u32,
    pub(crate) min_confidence: Option<f64>,
    pub(crate) document: Option<String>,
    pub(crate) newest: Option<Newest>,
    pub(crate) n_bytes: usize,
    pub(crate) held: Held,
}

/// With the prompt's borders, see [`Job::borders`].
type Prepared = Result<(Facts, Prompt, Vec<usize>), Error>;

enum Stage {
    Preparing(Pin<Box<dyn Future<Output = Prepared> + Send>>),
    Running(Box<Running>),
    /// The last update is already known.
    Ending(Outcome),
    Ended,
}

/// The jobs of one request, one per choice.
struct Running {
    jobs: Vec<JobId>,
    events: SelectAll<BoxStream<'static, (usize, Event)>>,
    finishes: Vec<Option<Finish>>,
    /// Reads the only text as a turn of a conversation.
    turn: Option<TurnReader>,
    /// Updates that are certain already.
    ready: VecDeque<Update>,
    failure: Option<JobError>,
    /// Whether the jobs have been told to end.
    is_interrupted: bool,
    last_report: Instant,
    trimmed: Trimmed,
    /// The same if the jobs had the text near the cursor only.
    trimmed_if_near: Option<Trimmed>,
    waited: Duration,
    tokenizer: Arc<Tokenizer>,
}

impl Run {
    /// Starts preparing the request. Once the model is ready, `build` makes the prompt on another thread; it may block.
    pub(crate) fn begin(
        model: &ModelHandle,
        accepted: Accepted,
        build: impl FnOnce(&Model) -> Result<Prompt, Error> + Send + 'static,
    ) -> Self {
        let Accepted { client, generation, n_choices, min_confidence, document, newest, n_bytes, held } =
            accepted;
        let (handle, priority) = (model.clone(), generation.priority);
        let preparing = async move {
            let model = handle.ready().await?;
            let facts = model.facts.clone();
            let work = move || build(&model).map(|it| (it.borders(&model), it));
            let (borders, prompt) = encode(priority, n_bytes, work).await?;
            Ok((facts, prompt, borders))
        };
        Self {
            engine: model.engine().clone(),
            client,
            arrived: Instant::now(),
            max_tokens: generation.max_tokens as usize,
            generation,
            n_choices,
            min_confidence,
            document: document.map(Arc::from),
            newest,
            held: Some(held),
            is_cancelled: false,
            stage: Stage::Preparing(Box::pin(preparing)),
        }
    }

    /// Computes the prompt into the cache and generates nothing.
    pub(crate) fn prefill_only(self) -> Self {
        Self { max_tokens: 0, ..self }
    }

    /// The next update; `None` after the last one. The future can be dropped without losing an update.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            match &mut self.stage {
                Stage::Preparing(_) => match self.prepare().await {
                    Ok(None) => {}
                    Ok(Some(update)) => return Some(Ok(update)),
                    Err(error) => return Some(Err(self.fail(error))),
                },
                Stage::Running(_) => match self.follow().await {
                    Ok(update) => return Some(Ok(update)),
                    Err(error) => return Some(Err(self.fail(error))),
                },
                Stage::Ending(_) | Stage::Ended => {
                    return match std::mem::replace(&mut self.stage, Stage::Ended) {
                        Stage::Ending(outcome) => Some(Ok(self.done(outcome))),
                        _ => None,
                    };
                }
            }
        }
    }

    /// Ends the request early. As always, the outcome has the text so far.
    pub fn cancel(&mut self) {
        self.is_cancelled = true;
        if let Stage::Running(running) = &mut self.stage {
            running.interrupt(&self.engine, CancelReason::Cancelled);
        }
    }

    /// Waits for the model and the prompt, then submits the jobs. Returns an update if there is one already.
    async fn prepare(&mut self) -> Result<Option<Update>, Error> {
        let Stage::Preparing(preparing) = &mut self.stage else { return Ok(None) };
        let ended_early = ends_early(
            self.is_cancelled,
            self.newest.as_ref(),
            self.generation.time_budget.map(|it| it.saturating_sub(self.arrived.elapsed())),
        );
        let (facts, prompt, borders) = tokio::select! {
            // The prompt may be ready when the request has been cancelled. The engine would not hear of the cancel.
            biased;
            reason = ended_early => {
                self.release_texts();
                self.stage = Stage::Ending(self.without_text(reason));
                return Ok(None);
            }
            prepared = preparing => {
                // Even if that failed, the texts are no longer needed.
                self.release_texts();
                prepared?
            }
        };
        let continued = self.newest.as_ref().map_or(Continued::Nothing, Newest::continued);
        match continued {
            Continued::Nothing => self.submit(&facts, prompt, &borders, None),
            Continued::Running(supersede) => self.submit(&facts, prompt, &borders, Some(supersede)),
            Continued::Finished(finished) => {
                let (text, confidence) = (finished.text.clone(), finished.likelihood.confidence());
                self.stage = Stage::Ending(self.rest_of(finished, &facts, &prompt));
                return Ok(Some(Update::Text { choice: 0, text, confidence }));
            }
        }
        Ok(None)
    }

    /// Stops counting the request's texts, unless later completions are compared with them.
    fn release_texts(&mut self) {
        if self.newest.is_none() {
            self.held = None;
        }
    }

    fn submit(
        &mut self,
        facts: &Facts,
        prompt: Prompt,
        borders: &[usize],
        mut supersedes: Option<Supersede>,
    ) {
        let waited = self.arrived.elapsed();
        let Prompt {
            tokens,
            near,
            trimmed,
            params,
            end_tokens,
            rules,
            healing,
            constraint,
            text_start,
            line_end,
            stop: stop_of_prompt,
            most_tokens,
            turn,
        } = prompt;
        let mut stop = in_lf(std::mem::take(&mut self.generation.stop), line_end);
        stop.extend(stop_of_prompt.iter().map(|it| (*it).to_owned()));
        let max_tokens = most_tokens.map_or(self.max_tokens, |most| self.max_tokens.min(most));
        let mut jobs = Vec::new();
        let mut events = SelectAll::new();
        for choice in 0..self.n_choices {
            let (sender, receiver) = unbounded_channel();
            let mut params = params.clone();
            params.seed = params.seed.map(|it| it.wrapping_add(choice.into()));
            jobs.push(self.engine.submit(Job {
                client: self.client,
                prompt: tokens.clone(),
                near: near.as_ref().map(|it| it.prompt.clone()),
                borders: borders.to_vec(),
                params,
                end_tokens: end_tokens.clone(),
                stop: stop.clone(),
                rules: rules.clone(),
                healing: healing.clone(),
                constraint: constraint.clone(),
                text_start,
                line_end,
                max_tokens,
                max_kv_tokens: self.generation.max_kv_tokens.map(|it| it as usize),
                // Waiting counts, so the budget may be used up already.
                time_budget: self.generation.time_budget.map(|it| it.saturating_sub(waited)),
                priority: self.generation.priority,
                top_logprobs: self.generation.top_logprobs.map(|it| it as usize),
                min_confidence: self.min_confidence,
                speculate: self.generation.speculate,
                document: self.document.clone(),
                // Only a request with a single choice continues another.
                supersedes: supersedes.take(),
                events: sender,
            }));
            let choice = choice as usize;
            events.push(
                unfold(receiver, move |mut receiver| async move {
                    receiver.recv().await.map(|event| ((choice, event), receiver))
                })
                .boxed(),
            );
        }
        if let (Some(newest), Some(job)) = (&mut self.newest, jobs.first()) {
            newest.started(*job);
        }
        self.stage = Stage::Running(Box::new(Running {
            finishes: vec![None; jobs.len()],
            jobs,
            events,
            turn,
            ready: VecDeque::new(),
            failure: None,
            is_interrupted: false,
            last_report: Instant::now(),
            trimmed,
            trimmed_if_near: near.map(|it| it.trimmed),
            waited,
            tokenizer: Arc::clone(&facts.tokenizer),
        }));
    }

    /// Follows the jobs to the next update.
    async fn follow(&mut self) -> Result<Update, Error> {
        let Stage::Running(running) = &mut self.stage else { return Err(JobError::ShuttingDown.into()) };
        let update = running.next(&self.engine, self.newest.as_ref()).await;
        if let Some(update) = update {
            return Ok(update);
        }
        // All jobs have ended.
        let Stage::Running(running) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return Err(JobError::ShuttingDown.into());
        };
        Ok(self.done(running.outcome()?))
    }

    fn done(&mut self, outcome: Outcome) -> Update {
        if let (Some(newest), Some(finish)) = (&mut self.newest, outcome.finishes.first()) {
            newest.ended(finish);
        }
        self.release();
        Update::Done(outcome)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.stage = Stage::Ended;
        self.release();
        error
    }

    fn release(&mut self) {
        self.newest = None;
        self.held = None;
    }

    /// The outcome of a request that ended before it had jobs.
    fn without_text(&self, reason: FinishReason) -> Outcome {
        let finish = Finish {
            reason,
            text: String::new(),
            likelihood: Likelihood::default(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage::default(),
            timing: Timing::default(),
            is_incomplete: self.generation.format.is_some(),
        };
        let waited = self.arrived.elapsed();
        Outcome {
            finishes: vec![finish],
            turn: Turn::default(),
            trimmed: Trimmed::default(),
            waited,
            tokenizer: None,
        }
    }

    /// The outcome of a completion whose text is the rest of an older one's, so that nothing is computed.
    fn rest_of(&self, finished: FinishedText, facts: &Facts, prompt: &Prompt) -> Outcome {
        let n_left_out = finished.n_left_out;
        let n_prompt = prompt.tokens.len().saturating_sub(n_left_out);
        let near = prompt.near.as_ref().filter(|_| n_left_out > 0);
        let finish = Finish {
            reason: finished.reason,
            text: finished.text,
            likelihood: finished.likelihood,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            usage: Usage {
                prompt_tokens: n_prompt,
                cached_tokens: n_prompt,
                left_out_tokens: n_left_out,
                ..Usage::default()
            },
            timing: Timing { first_token: Some(Duration::ZERO), ..Timing::default() },
            is_incomplete: false,
        };
        Outcome {
            finishes: vec![finish],
            turn: Turn::default(),
            trimmed: near.map_or(prompt.trimmed, |it| it.trimmed),
            waited: self.arrived.elapsed(),
            tokenizer: Some(Arc::clone(&facts.tokenizer)),
        }
    }
}

impl Running {
    /// The next update; `None` when all jobs have ended.
    async fn next(&mut self, engine: &Engine, newest: Option<&Newest>) -> Option<Update> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Some(update);
            }
            let event = tokio::select! {
                event = self.events.next() => event,
                () = superseded(newest), if !self.is_interrupted => {
                    self.interrupt(engine, CancelReason::Superseded);
                    continue;
                }
            };
            let (choice, event) = event?;
            match event {
                Event::Prefill { done, total, .. } => {
                    if done < total && self.last_report.elapsed() >= PREFILL_REPORT_INTERVAL {
                        self.last_report = Instant::now();
                        return Some(Update::Prefill { done, total });
                    }
                }
                Event::Delta { text, confidence } => {
                    let choice = u32::try_from(choice).expect("choices are counted by a u32");
                    match &mut self.turn {
                        Some(turn) => self.ready.extend(updates(turn.push(&text), confidence)),
                        None => return Some(Update::Text { choice, text, confidence }),
                    }
                }
                Event::Finished(finish) => {
                    let confidence = finish.likelihood.confidence();
                    self.finishes[choice] = Some(*finish);
                    if let Some(turn) = &mut self.turn {
                        self.ready.extend(updates(turn.finish(), confidence));
                    }
                }
                Event::Failed(error) => {
                    self.failure.get_or_insert(error);
                    self.interrupt(engine, CancelReason::Cancelled);
                }
            }
        }
    }

    fn interrupt(&mut self, engine: &Engine, reason: CancelReason) {
        self.is_interrupted = true;
        for job in &self.jobs {
            engine.cancel(*job, reason);
        }
    }

    fn outcome(self) -> Result<Outcome, Error> {
        if let Some(error) = self.failure {
            return Err(error.into());
        }
        // A job has no finish if the engine is gone.
        let finishes: Option<Vec<Finish>> = self.finishes.into_iter().collect();
        let mut finishes = finishes.ok_or(JobError::ShuttingDown)?;
        let turn = self.turn.map(TurnReader::turn);
        if let (Some(turn), Some(finish)) = (&turn, finishes.first_mut()) {
            finish.text.clone_from(&turn.content);
        }
        let is_near = finishes.iter().any(|it| it.usage.left_out_tokens > 0);
        Ok(Outcome {
            finishes,
            turn: turn.unwrap_or_default(),
            trimmed: self.trimmed_if_near.filter(|_| is_near).unwrap_or(self.trimmed),
            waited: self.waited,
            tokenizer: Some(self.tokenizer),
        })
    }
}

/// The updates for pieces of a turn.
fn updates(pieces: Vec<Piece>, confidence: Option<f64>) -> impl Iterator<Item = Update> {
    pieces.into_iter().map(move |it| match it {
        Piece::Reasoning(text) => Update::Reasoning { text },
        Piece::Content(text) => Update::Text { choice: 0, text, confidence },
    })
}

/// Resolves when a request without jobs must end.
async fn ends_early(is_cancelled: bool, newest: Option<&Newest>, budget: Option<Duration>) -> FinishReason {
    if is_cancelled {
        return FinishReason::Cancelled;
    }
    let over_budget = async {
        match budget {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = superseded(newest) => FinishReason::Superseded,
        () = over_budget => FinishReason::Budget,
    }
}

/// Resolves when the completion is superseded by a newer one of the same document.
async fn superseded(newest: Option<&Newest>) {
    match newest {
        Some(newest) => newest.superseded().await,
        None => std::future::pending().await,
    }
}

/// Stop strings converted to LF line ends, as in the text that the model sees.
fn in_lf(stop: Vec<String>, line_end: Option<LineEnd>) -> Vec<String> {
    match line_end {
        Some(line_end) => stop.iter().map(|it| line_end.stop_to_lf(it).into_owned()).collect(),
        None => stop,
    }
}
