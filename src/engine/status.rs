//! What the engine tells about itself: whether it can work, and how it is doing.

use crate::{
    job::JobError,
    loading::LoadProgress,
    model::{MemoryUse, ModelDescription},
};

/// Whether there is a model. Watched by whoever tells clients.
#[derive(Clone, Debug)]
pub enum State {
    /// Jobs are taken and wait.
    Loading(LoadProgress),
    Ready(ModelDescription),
    /// There will never be one: [`JobError::LoadFailed`], [`JobError::OutOfMemory`] or
    /// [`JobError::EngineDied`], which is also the answer to every job.
    Failed(JobError),
}

/// How the engine is doing, as of its last step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// Jobs that have no slot yet. Counted at the moment of asking.
    pub n_waiting: usize,
    /// Jobs that have one.
    pub n_running: usize,
    pub cache: CacheStatus,
    pub memory: MemoryUse,
    /// Whether work waits for memory, or little is left of what may be used.
    pub memory_is_short: bool,
    pub speed: Speed,
}

/// The prefix cache. Slots in use by running jobs count as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    pub n_slots: usize,
    pub n_tokens: usize,
    /// Of the memory that slots have, be it empty.
    pub bytes: u64,
    /// Jobs that asked for a prefix, since the start.
    pub n_lookups: u64,
    /// Those that found some of it.
    pub n_hits: u64,
    /// Prompt tokens of all lookups.
    pub n_tokens_asked: u64,
    /// Those that were found.
    pub n_tokens_found: u64,
}

/// Measured over the last steps; `None` before there were any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    pub prefill_tokens_per_second: Option<f64>,
    pub decode_tokens_per_second: Option<f64>,
}
