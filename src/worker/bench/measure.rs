//! Measures one text: random prompt tokens in, a fixed number of tokens out.

use std::sync::Arc;

use anyhow::{Context, Result};
use runabout_engine::{ClientId, Engine, Event, Finish, Job, ModelDescription, Priority, TextStart};
use runabout_text::{SamplingParams, TokenId};
use serde::Serialize;
use tokio::sync::mpsc::unbounded_channel;

/// What one text took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(super) prompt_tokens: usize,
    pub(super) generation_tokens: usize,
    /// Prompt tokens per second.
    pub(crate) prompt_tps: f64,
    /// Generated tokens per second, without the first one.
    pub(crate) generation_tps: f64,
    /// From the submission to the first token.
    pub(super) first_token_seconds: f64,
}

/// Prompts and texts that have nothing in common, so that nothing is found in the cache and nothing can be drafted.
pub(crate) struct Measure {
    engine: Engine,
    random: fastrand::Rng,
}

impl Measure {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, random: fastrand::Rng::with_seed(0) }
    }

    /// Measures one text. Whatever the model writes, it does not end before it has its length.
    pub(crate) async fn text(
        &mut self,
        model: &ModelDescription,
        n_prompt: usize,
        n_generated: usize,
    ) -> Result<Measurement> {
        let n_known = TokenId::try_from(model.vocabulary_size).unwrap_or(TokenId::MAX);
        let prompt = (0..n_prompt).map(|_| self.random.u32(..n_known)).collect();
        let (events, mut receiver) = unbounded_channel();
        let job = self.engine.submit(Job {
            client: ClientId::new(),
            prompt,
            near: None,
            borders: Vec::new(),
            params: SamplingParams::default(),
            // The text must have its length.
            end_tokens: Vec::new(),
            stop: Vec::new(),
            rules: None,
            healing: None,
            constraint: None,
            text_start: TextStart::Continuing,
            line_end: None,
            max_tokens: n_generated,
            max_kv_tokens: None,
            time_budget: None,
            priority: Priority::Interactive,
            top_logprobs: None,
            min_confidence: None,
            speculate: false,
            document: Some(Arc::from("bench")),
            supersedes: None,
            events,
        });
        loop {
            match receiver.recv().await.context("the engine ended without a result")? {
                Event::Finished(finish) => return Ok(Measurement::of(&finish)),
                Event::Failed(error) => return Err(error).with_context(|| format!("job {} failed", job.0)),
                Event::Prefill { .. } | Event::Delta { .. } => {}
            }
        }
    }
}

impl Measurement {
    fn of(finish: &Finish) -> Self {
        let (usage, timing) = (finish.usage, finish.timing);
        Self {
            prompt_tokens: usage.prompt_tokens,
            generation_tokens: usage.completion_tokens,
            prompt_tps: usage.prompt_tokens as f64 / timing.prefill.as_secs_f64(),
            generation_tps: usage.completion_tokens.saturating_sub(1) as f64 / timing.decode.as_secs_f64(),
            first_token_seconds: timing.first_token.unwrap_or(timing.total).as_secs_f64(),
        }
    }

    /// The median of each figure.
    pub(super) fn median(of: &[Self]) -> Option<Self> {
        let first = of.first()?;
        let median = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = of.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Some(Self {
            prompt_tps: median(|it| it.prompt_tps),
            generation_tps: median(|it| it.generation_tps),
            first_token_seconds: median(|it| it.first_token_seconds),
            ..*first
        })
    }
}
