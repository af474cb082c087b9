//! Tests of the engine through its public interface, with a scripted model.
//!
//! Nothing sleeps. A test that needs the engine at a certain point holds the model there with a gate; time is moved by
//! hand. For every job that is followed to its end, the general guarantees are checked: one terminal event, which is
//! the last, and deltas that together are the text.
//!
//! These tests are compiled twice: as `engine`, where the model's slots return to any length, and as `checkpoints`, where
//! they return to checkpoints only ([`in_mode`]). Where the engine then computes more, [`by_mode`] has both numbers.

#![allow(clippy::unwrap_used)]

mod batch;
mod budget;
mod cancel;
mod checkpoints;
mod confidence;
mod death;
mod draft;
mod dropping;
mod format;
mod memory;
mod near;
mod order;
mod prefix;
mod queue;
mod reuse;
mod share;
mod speculation;
mod supersede;
mod text;
mod vocabulary;

use std::{future::Future, sync::Arc, time::Duration};

use runabout_engine::{
    ClientId, Engine, EngineOptions, Event, Finish, Job, JobError, JobId, ManualClock, Priority, State,
    TextStart,
    scripted::{END, ScriptedModel, bytes},
};
use runabout_text::SamplingParams;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Longer than any test takes that passes.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Whether the model's slots return to checkpoints only.
fn has_checkpoints_only() -> bool {
    env!("CARGO_CRATE_NAME") == "checkpoints"
}

/// The model as these tests use it.
fn in_mode(model: ScriptedModel) -> ScriptedModel {
    if has_checkpoints_only() { model.with_checkpoints_only() } else { model }
}

/// What is expected if slots return to any length, and if they return to checkpoints only.
fn by_mode<T>(anywhere: T, checkpoints_only: T) -> T {
    if has_checkpoints_only() { checkpoints_only } else { anywhere }
}

/// An engine whose clock does not move.
fn start(model: ScriptedModel) -> Engine {
    start_with(model, options())
}

fn start_with(model: ScriptedModel, options: EngineOptions) -> Engine {
    start_as_it_is(in_mode(model), options)
}

/// Starts a model that the test itself has prepared.
fn start_as_it_is(model: ScriptedModel, options: EngineOptions) -> Engine {
    Engine::spawn(options, move |_| Ok(model.loaded())).unwrap()
}

fn options() -> EngineOptions {
    EngineOptions { clock: Arc::new(ManualClock::new()), ..EngineOptions::default() }
}

fn one_at_a_time() -> EngineOptions {
    EngineOptions { max_running: 1, ..options() }
}

/// A submitted job and its events.
struct Submitted {
    id: JobId,
    events: UnboundedReceiver<Event>,
}

/// All events of a job.
#[derive(Debug)]
struct AllEvents {
    /// `(done, total, cached)`.
    prefill: Vec<(usize, usize, usize)>,
    deltas: Vec<String>,
    end: Result<Finish, JobError>,
}

/// A background job of four tokens, unless `change` changes that.
fn submit(engine: &Engine, prompt: &str, change: impl FnOnce(&mut Job)) -> Submitted {
    let (sender, events) = unbounded_channel();
    let mut job = Job {
        client: ClientId(0),
        prompt: bytes(prompt),
        near: None,
        borders: Vec::new(),
        params: SamplingParams::default(),
        end_tokens: vec![END],
        stop: Vec::new(),
        rules: None,
        healing: None,
        constraint: None,
        text_start: TextStart::Fresh,
        line_end: None,
        max_tokens: 4,
        max_kv_tokens: None,
        time_budget: None,
        priority: Priority::Background,
        top_logprobs: None,
        min_confidence: None,
        speculate: false,
        document: None,
        supersedes: None,
        events: sender,
    };
    change(&mut job);
    Submitted { id: engine.submit(job), events }
}

impl Submitted {
    /// The next event; `None` after the last.
    fn next(&mut self) -> Option<Event> {
        wait(self.events.recv())
    }

    /// Follows a job to its end.
    fn events_to_end(mut self) -> AllEvents {
        let (mut prefill, mut deltas, mut last_confidence) = (Vec::new(), Vec::new(), None);
        let end = loop {
            match self.next().expect("a job has an end") {
                Event::Prefill { done, total, cached } => prefill.push((done, total, cached)),
                Event::Delta { text, confidence } => {
                    assert!(!text.is_empty());
                    deltas.push(text);
                    last_confidence = confidence;
                }
                Event::Finished(finish) => break Ok(*finish),
                Event::Failed(error) => break Err(error),
            }
        };
        assert!(self.next().is_none(), "an event after the end");
        if let Ok(finish) = &end {
            assert_eq!(deltas.concat(), finish.text);
            if !deltas.is_empty() {
                assert_eq!(last_confidence, finish.likelihood.confidence());
            }
        }
        AllEvents { prefill, deltas, end }
    }

    fn finish(self) -> Finish {
        self.events_to_end().end.unwrap()
    }

    fn error(self) -> JobError {
        self.events_to_end().end.unwrap_err()
    }
}

/// The text that the hashing model generates after a prompt, computed here without the engine.
fn alone(prompt: &str, max_tokens: usize) -> String {
    let engine = start(ScriptedModel::hashing());
    submit(&engine, prompt, |job| job.max_tokens = max_tokens).finish().text
}

/// Waits for a state that the engine must reach.
fn wait_for(engine: &Engine, reached: impl FnMut(&State) -> bool) -> State {
    wait(async { engine.watch_state().wait_for(reached).await.unwrap().clone() })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(TIMEOUT, future).await.expect("the engine answers") })
}
