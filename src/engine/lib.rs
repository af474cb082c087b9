//! One thread, one model: jobs in, events out.
//!
//! Read in this order: callers submit a [`Job`] and receive [`Event`]s; [`Engine`] is their handle. On the engine's
//! thread `stepper` runs the loop: it asks `scheduler` which jobs run, `cache` for slots of the model, `speculation`
//! for drafts and the [`LanguageModel`] for tokens, which the `sequence` of each running job turns into text. `pace`
//! measures how many tokens fit in a step. [`scripted`] is a model for tests. Whoever adds a kind of state to a model reads
//! [`model`].
//!
//! This crate knows no JSON, no wire and no MLX. Invariants: one terminal event per job; its deltas joined are its
//! text; a cancel takes effect within one step and keeps the keys and values that were computed; greedy text depends on
//! the prompt alone, not on chunks, cache, drafts or other jobs, unless [`EngineOptions::n_min_reuse`] allows it.

pub mod job;
pub mod model;

mod cache;
mod clock;
mod engine;
mod inbox;
mod likelihood;
mod loading;
mod memory;
mod options;
mod pace;
mod scheduler;
pub mod scripted;
mod sequence;
mod speculation;
mod status;
mod stepper;

pub use clock::{Clock, ManualClock, SystemClock};
pub use engine::Engine;
pub use job::{
    CancelReason, ClientId, Event, Finish, FinishReason, Job, JobError, JobId, MIN_KV_TOKENS, NearPrompt,
    Priority, Supersede, TextStart, Timing, Usage,
};
pub use likelihood::Likelihood;
pub use loading::{LoadError, LoadProgress, LoadStage, Loaded, Models};
pub use model::{
    LanguageModel, MemoryUse, ModelDescription, SampleRequest, Sampled, SlotCopy, SlotCost, SlotId, Span,
    StepCost, StepError, TokenLogprobs, n_accepted,
};
pub use options::EngineOptions;
pub use speculation::MAX_DRAFTS;
pub use status::{CacheStatus, Speed, State, Status};
