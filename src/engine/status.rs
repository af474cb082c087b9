//! What the engine reports: whether it has a model ([`State`]), and how busy it is ([`Status`]).

use crate::{
    job::JobError,
    loading::LoadProgress,
    model::{MemoryUse, ModelDescription},
};

/// Whether there is a model.
#[derive(Clone, Debug)]
pub enum State {
    /// Jobs are accepted, and wait.
    Loading(LoadProgress),
    Ready(ModelDescription),
    /// There is no model and will be none: [`JobError::LoadFailed`], [`JobError::ModelTooLarge`] or
    /// [`JobError::EngineDied`], which is also the answer to every job.
    Failed(JobError),
}

/// How busy the engine is, as of its last step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// The number of jobs that wait for a slot, at the moment of the call.
    pub n_waiting: usize,
    /// The number of jobs that have a slot.
    pub n_running: usize,
    pub cache: CacheStatus,
    pub memory: MemoryUse,
    /// Whether a job waits for memory, or little is left below the memory limit.
    pub memory_is_short: bool,
    /// The number of tokens that the model has computed since the start, of prompts and of generated text.
    pub n_computed: u64,
    pub speed: Speed,
}

/// The prefix cache. Slots of running jobs count too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    pub n_slots: usize,
    pub n_tokens: usize,
    /// The number of checkpoints of all slots.
    pub n_checkpoints: usize,
    /// The memory of all slots, including unused parts and checkpoints.
    pub bytes: u64,
    /// The number of prompts looked up since the start.
    pub n_lookups: u64,
    /// The number of prompts of which at least the first token was found.
    pub n_hits: u64,
    /// The number of tokens of all those prompts.
    pub n_tokens_asked: u64,
    /// The number of tokens found.
    pub n_tokens_found: u64,
}

/// The speed of the last steps; `None` before there were any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    pub prefill_tokens_per_second: Option<f64>,
    pub decode_tokens_per_second: Option<f64>,
}
