//! How the engine works: [`EngineOptions`].

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use crate::clock::{Clock, SystemClock};

/// How the engine works. The default suits one person's machine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The most tokens that a step feeds. Fewer are fed where `step_target` asks for it.
    pub prefill_chunk: usize,
    /// The time that a step should take at most, since cancels and interactive jobs wait for its end.
    pub step_target: Duration,
    /// The memory that the engine may use: for weights, for keys and values, and for a step. `None`: no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes of that memory that other parts of the process use at the moment, for waiting requests for instance. The engine
    /// reads this whenever it starts a job beside others.
    pub held_bytes: Arc<AtomicU64>,
    /// Keys and values that are kept in memory, those of running jobs included. It bounds what is kept of finished jobs;
    /// running jobs may exceed it, up to `memory_limit_bytes`.
    pub cache_limit_bytes: u64,
    /// Where at least this many tokens of a prompt follow an edit and are in the cache at other positions, they are moved
    /// instead of computed again. They were computed behind the text before the edit, so the answer is not quite that of a
    /// fresh prompt. 0: never.
    pub n_min_reuse: usize,
    /// Slots that are kept, those of running jobs included.
    pub max_slots: usize,
    /// Jobs of each priority that run at a time; at least 1.
    pub max_running: usize,
    /// Jobs that may wait for a slot, after which more are refused; at least 1.
    pub max_queued: usize,
    /// How many tokens a draft model drafts at a time, at most [`MAX_DRAFTS`](crate::MAX_DRAFTS). `None`: as many as pay,
    /// which may be none.
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
            // Eight rows take three and a half times the time of one on a CPU; more would gain little.
            max_running: 8,
            max_queued: 64,
            n_draft_tokens: None,
            clock: Arc::new(SystemClock),
        }
    }
}
