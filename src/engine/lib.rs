//! One thread, one model: jobs in, events out.
//!
//! In order of reading: [`Job`] is what callers submit and [`Event`] what they hear; [`Engine`] is the
//! handle; `stepper` is the loop on the thread, which asks `scheduler` who runs, `cache` for slots, and
//! [`LanguageModel`] for tokens, of which `lookup` and the smaller model of a `pair` guess some, as many as
//! `guess_costs` finds worth it by what `pace` has measured; `sequence` is a job under way and `output` its
//! text. [`scripted`] is a model for tests.
//!
//! Knows no JSON, no wire and no MLX. Invariants: one terminal event per job; deltas concatenated are the
//! text; a cancel takes effect within one step and keeps the KV; greedy text depends on the prompt alone, not
//! on chunks, cache or company, unless `n_min_reuse` allows it.

pub mod job;
pub mod model;

mod cache;
mod clock;
mod engine;
mod inbox;
mod loading;
mod memory;
mod options;
mod output;
mod pace;
mod reply;
mod scheduler;
pub mod scripted;
mod sequence;
mod speculation;
mod status;
mod stepper;

pub use clock::{Clock, ManualClock, SystemClock};
pub use engine::Engine;
pub use job::{
    CancelReason, Event, Finish, FinishReason, Job, JobError, JobId, Priority, Supersede, TextStart, Timing,
    Usage,
};
pub use loading::{LoadError, LoadProgress, LoadStage, Loaded};
pub use model::{
    LanguageModel, MemoryUse, ModelDescription, SampleRequest, Sampled, SlotId, Span, StepError,
    TokenLogprobs, n_right,
};
pub use options::EngineOptions;
pub use speculation::MAX_DRAFTS;
pub use status::{CacheStatus, Speed, State, Status};
