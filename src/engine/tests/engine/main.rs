//! The engine from outside, with a scripted model: each of its promises is a test here.
//!
//! Nothing sleeps. A test that needs the engine at a certain point holds the model there with a gate; time
//! moves by hand. Every job heard to its end is checked for what holds for all: one terminal event, which is
//! the last, and deltas that concatenate to the text.

#![allow(clippy::unwrap_used)]

mod batch;
mod budget;
mod cancel;
mod death;
mod draft;
mod memory;
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
    Engine, EngineOptions, Event, Finish, Job, JobError, JobId, ManualClock, Priority, State, TextStart,
    scripted::{END, ScriptedModel, bytes},
};
use runabout_text::SamplingParams;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Never reached by a test that passes.
const PATIENCE: Duration = Duration::from_mins(5);

/// An engine whose clock stands still.
fn start(model: ScriptedModel) -> Engine {
    start_with(model, options())
}

fn start_with(model: ScriptedModel, options: EngineOptions) -> Engine {
    Engine::spawn(options, move |_| Ok(model.loaded())).unwrap()
}

fn options() -> EngineOptions {
    EngineOptions { clock: Arc::new(ManualClock::new()), ..EngineOptions::default() }
}

fn one_at_a_time() -> EngineOptions {
    EngineOptions { max_running: 1, ..options() }
}

/// A submitted job and what is heard of it.
struct Submitted {
    id: JobId,
    events: UnboundedReceiver<Event>,
}

/// All that was heard of a job.
#[derive(Debug)]
struct Heard {
    /// `(done, total, cached)`.
    prefill: Vec<(usize, usize, usize)>,
    deltas: Vec<String>,
    end: Result<Finish, JobError>,
}

/// A background job of four tokens, unless `change` says otherwise.
fn submit(engine: &Engine, prompt: &str, change: impl FnOnce(&mut Job)) -> Submitted {
    let (sender, events) = unbounded_channel();
    let mut job = Job {
        prompt: bytes(prompt),
        params: SamplingParams::default(),
        end_tokens: vec![END],
        stop: Vec::new(),
        rules: None,
        healing: None,
        text_start: TextStart::Fresh,
        line_end: None,
        max_tokens: 4,
        time_budget: None,
        priority: Priority::Background,
        top_logprobs: None,
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

    /// Hears a job to its end.
    fn hear(mut self) -> Heard {
        let (mut prefill, mut deltas) = (Vec::new(), Vec::new());
        let end = loop {
            match self.next().expect("a job has an end") {
                Event::Prefill { done, total, cached } => prefill.push((done, total, cached)),
                Event::Delta { text } => {
                    assert!(!text.is_empty());
                    deltas.push(text);
                }
                Event::Finished(finish) => break Ok(finish),
                Event::Failed(error) => break Err(error),
            }
        };
        assert!(self.next().is_none(), "nothing is heard after the end");
        if let Ok(finish) = &end {
            assert_eq!(deltas.concat(), finish.text);
        }
        Heard { prefill, deltas, end }
    }

    fn finish(self) -> Finish {
        self.hear().end.unwrap()
    }

    fn error(self) -> JobError {
        self.hear().end.unwrap_err()
    }
}

/// What the hashing model says after a prompt, worked out alone in one piece.
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
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("the engine answers") })
}
