//! Tests that every architecture gives the same texts through the engine, whatever else runs, is cancelled, is in the
//! cache or is drafted; and that typing and chats compute little, also with states that return to checkpoints only.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runabout_engine::{
    CancelReason, ClientId, Engine, EngineOptions, Event, Finish, Job, JobId, Loaded, Models, Priority,
    TextStart,
};
use runabout_text::{SamplingParams, Tokenizer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cpu::Kernels;
use crate::device::{self, Compute, DeviceChoice};
use crate::testing::alone;
use crate::testing::stored::StoredModels;
use crate::{KvBits, Placement, Precision};

/// An engine, whose model is gone when this is dropped.
struct Server(Engine);

struct Submitted {
    id: JobId,
    events: UnboundedReceiver<Event>,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let folder = PathBuf::from(folder);
        let engine = Engine::spawn(EngineOptions::default(), move |_| {
            device::select(DeviceChoice::Cpu).unwrap();
            let kernels = Kernels::new(None, Some(Precision::F32)).unwrap();
            let placement =
                Placement { compute: Compute::Cpu, kernels, kv_bits: Some(KvBits::ThirtyTwo), group: None };
            let model = crate::load_with(&folder, None, &placement, &mut |_, _| {}).unwrap();
            let tokenizer = Arc::new(Tokenizer::bytes_for_tests());
            Ok(Loaded { models: Models { model: Box::new(model), draft: None }, tokenizer })
        });
        Self(engine.unwrap())
    }

    /// A greedy job of 12 tokens that may be drafted.
    fn submit(&self, prompt: &[u32], change: impl FnOnce(&mut Job)) -> Submitted {
        let (sender, events) = unbounded_channel();
        let mut job = Job {
            client: ClientId(0),
            prompt: prompt.to_vec(),
            near: None,
            borders: Vec::new(),
            params: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
            end_tokens: Vec::new(),
            stop: Vec::new(),
            rules: None,
            healing: None,
            constraint: None,
            text_start: TextStart::Continuing,
            line_end: None,
            max_tokens: 12,
            max_kv_tokens: None,
            time_budget: None,
            priority: Priority::Background,
            top_logprobs: None,
            min_confidence: None,
            speculate: true,
            document: None,
            supersedes: None,
            events: sender,
        };
        change(&mut job);
        Submitted { id: self.0.submit(job), events }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.shutdown();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.0.stopped());
    }
}

impl Submitted {
    fn finish(mut self) -> Finish {
        loop {
            match self.events.blocking_recv().expect("a job has an end") {
                Event::Finished(finish) => return *finish,
                Event::Failed(error) => panic!("{error}"),
                Event::Prefill { .. } | Event::Delta { .. } => {}
            }
        }
    }
}

/// The tokens after a prompt from a model that has done nothing else.
fn fresh(folder: &Path, prompt: &[u32]) -> Vec<u32> {
    Server::start(folder).submit(prompt, |job| job.speculate = false).finish().tokens
}

#[test]
fn every_architecture_gives_the_same_texts_beside_others_after_cancels_and_from_the_cache() {
    let _alone = alone();
    let stored = StoredModels::read();
    let common = [&stored.prompt[..], &stored.prompt[..60]].concat();
    let prompts = [5, 40, 77].map(|at| [&common[..], &stored.prompt[at..at + 15]].concat());
    for model in stored.models.iter().filter(|it| !it.name.contains(',')) {
        let name = &model.name;
        let folder = stored.checkpoint(model);
        let expected = prompts.each_ref().map(|it| fresh(folder.path(), it));
        let server = Server::start(folder.path());
        for round in 0..2 {
            let jobs = prompts.each_ref().map(|it| server.submit(it, |job| job.borders = vec![common.len()]));
            let cancelled = server.submit(&stored.prompt, |job| job.max_tokens = 500);
            for (idx, job) in jobs.into_iter().enumerate() {
                let finish = job.finish();
                assert_eq!(finish.tokens, expected[idx], "{name}, round {round}, prompt {idx}");
                let n_cached = if round == 0 { common.len() } else { prompts[idx].len() - 1 };
                assert!(
                    idx + round == 0 || finish.usage.cached_tokens >= n_cached,
                    "{name}: {:?}",
                    finish.usage
                );
            }
            server.0.cancel(cancelled.id, CancelReason::Cancelled);
            cancelled.finish();
        }
        // The next turn: only what is new is computed, with the last token of the answer, which was not fed.
        let next = [&prompts[2], &expected[2], &stored.prompt[..30].to_vec()].map(Vec::as_slice).concat();
        let finish = server.submit(&next, |_| {}).finish();
        assert_eq!(finish.tokens, fresh(folder.path(), &next), "{name}: next turn");
        assert_eq!(finish.usage.prompt_tokens - finish.usage.cached_tokens, 31, "{name}: {:?}", finish.usage);
    }
}

#[test]
fn typing_a_hundred_keys_computes_at_most_three_percent_of_the_prompt_for_each() {
    let _alone = alone();
    let stored = StoredModels::read();
    let file = stored.prompt.repeat(4);
    let typed: Vec<u32> = stored.prompt.iter().rev().chain(&stored.prompt).take(100).copied().collect();
    for name in ["qwen3", "qwen3_next", "qwen3_5"] {
        let model = stored.models.iter().find(|it| it.name == name).unwrap();
        let folder = stored.checkpoint(model);
        let server = Server::start(folder.path());
        for n_typed in 0..=typed.len() {
            let prompt = [&file, &typed[..n_typed]].concat();
            let finish = server
                .submit(&prompt, |job| {
                    job.document = Some("main.rs".into());
                    job.max_tokens = 4;
                })
                .finish();
            let n_computed = prompt.len() - finish.usage.cached_tokens;
            let is_first = n_typed == 0;
            assert!(
                is_first || n_computed * 100 <= prompt.len() * 3,
                "{name}: {n_computed} of {}",
                prompt.len()
            );
            if n_typed % 25 == 0 {
                assert_eq!(finish.tokens, fresh(folder.path(), &prompt)[..4], "{name} after {n_typed} keys");
            }
        }
    }
}
