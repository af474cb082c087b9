//! How the engine works: [`EngineOptions`].

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use crate::clock::{Clock, SystemClock};

/// How the engine works. The default is meant for the machine of a single user.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The most tokens that a step feeds. `step_target` may reduce the number.
    pub prefill_chunk: usize,
    /// The longest time that a step should take, since cancels and interactive jobs wait for its end.
    pub step_target: Duration,
    /// The memory that the engine may use for weights, keys and values, and a step; `None` sets no limit.
    pub memory_limit_bytes: Option<u64>,
    /// The bytes of that memory that other parts of the process use at the moment, for example for waiting requests.
    /// The engine reads this whenever it starts a job beside others.
    pub held_bytes: Arc<AtomicU64>,
    /// The memory for slots that are kept, including those of running jobs. It limits what is kept of finished jobs, and
    /// checkpoints; running jobs may exceed it without checkpoints, up to `memory_limit_bytes`.
    pub cache_limit_bytes: u64,
    /// If at least this many tokens of a prompt follow an edit and are in the cache at other positions, they are moved
    /// instead of computed again. They were computed after the text before the edit, so the answer may differ slightly
    /// from that of a fresh prompt. 0 disables this.
    pub n_min_reuse: usize,
    /// The number of slots that are kept, including those of running jobs.
    pub max_slots: usize,
    /// The number of jobs of each priority that run at a time; at least 1.
    pub max_running: usize,
    /// The number of jobs of each priority that run beyond `max_running`, of clients that have none running. 0 if there is
    /// only one client.
    pub max_running_for_others: usize,
    /// The number of a client's jobs that may wait for a slot; further ones are refused. At least 1.
    pub max_queued: usize,
    /// The number of tokens that a draft model drafts at a time, at most [`MAX_DRAFTS`](crate::MAX_DRAFTS). `None`
    /// chooses the number by its benefit; it may be 0.
    pub n_draft_tokens: Option<usize>,
    pub clock: Arc<dyn Clock>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            prefill_chunk: 512,
            step_target: Duration::from_millis(50),
            memory_limit_bytes: None,
            held_bytes: Arc::default(),
            cache_limit_bytes: 1 << 30,
            n_min_reuse: 0,
            max_slots: 64,
            // Eight rows take three and a half times as long as one on a CPU; more would gain little.
            max_running: 8,
            max_running_for_others: 0,
            max_queued: 64,
            n_draft_tokens: None,
            clock: Arc::new(SystemClock),
        }
    }
}
