//! The process: one model and its limits, for one or more clients.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Result;
use runabout_assist::{Assistant, HeldTexts, JobError, Limits, ModelHandle, State};
use runabout_engine::EngineOptions;
use runabout_rpc::Options;

use crate::calls::CallLog;
use crate::cli::ServeArgs;
use crate::loading;
use crate::memory;

/// What all clients of the process share.
#[derive(Debug)]
pub(crate) struct App {
    /// The assistant from which each client gets its own, see [`Assistant::for_another_client`].
    pub(crate) assistant: Assistant,
    /// The model reference from the command line, used as the model's name until that is known.
    pub(crate) reference: String,
    pub(crate) started: Instant,
    pub(crate) limits: ServeLimits,
    /// Where conversations with agents are kept; `None` keeps none.
    pub(crate) conversations: Option<PathBuf>,
    /// The folders that agents may work in, as the command line names them.
    pub(crate) roots: Vec<PathBuf>,
    /// Where calls of tools are counted; `None` counts none.
    pub(crate) calls: Option<CallLog>,
    /// Set once the model is wanted; loading waits for that.
    wanted: Arc<OnceLock<()>>,
}

/// What only a process for agents has.
#[derive(Debug, Default)]
pub(crate) struct AgentOptions {
    /// The folders that an agent may work in; if empty, its own folder counts.
    pub(crate) roots: Vec<PathBuf>,
    /// Whether the model is loaded only when it is wanted, see [`App::want_model`].
    pub(crate) is_lazy: bool,
    /// Where calls of tools are counted; `None` counts none.
    pub(crate) calls: Option<CallLog>,
    /// Where conversations with agents are kept; `None` keeps none.
    pub(crate) conversations: Option<PathBuf>,
}

/// The limits of the whole process that clients are told. Those of single requests are [`Assistant::limits`].
#[derive(Clone, Debug)]
pub(crate) struct ServeLimits {
    pub(crate) rpc: Options,
    pub(crate) max_queued: usize,
    pub(crate) memory_bytes: Option<u64>,
}

impl App {
    pub(crate) fn new(
        model: ModelHandle,
        held: Arc<HeldTexts>,
        reference: String,
        limits: ServeLimits,
    ) -> Self {
        let assistant = Assistant::new(model, held, Limits::default());
        let wanted = Arc::new(OnceLock::from(()));
        Self {
            assistant,
            reference,
            started: Instant::now(),
            limits,
            conversations: None,
            roots: Vec::new(),
            calls: None,
            wanted,
        }
    }

    /// Starts loading the model, or gets ready for that, and returns without waiting for it. Fails if a model reference
    /// is invalid or the engine's thread cannot be started.
    pub(crate) fn start(args: ServeArgs, agent: AgentOptions) -> Result<Self> {
        let bytes = |mib: u64| mib.saturating_mul(1 << 20);
        let memory_bytes = args.model.memory_limit_bytes().or_else(memory::default_limit_bytes);
        let cache_limit_bytes =
            args.cache_limit_mib.map_or_else(|| memory::default_cache_bytes(memory_bytes), bytes);
        let held = Arc::new(HeldTexts::new(memory::max_held_bytes(memory_bytes)));
        let options = EngineOptions {
            step_target: Duration::from_millis(args.step_target_ms),
            memory_limit_bytes: memory_bytes,
            held_bytes: held.n_bytes(),
            cache_limit_bytes,
            n_min_reuse: args.cache_reuse,
            max_running: args.max_running,
            max_queued: args.max_queued,
            n_draft_tokens: args.model.n_draft_tokens(),
            ..EngineOptions::default()
        };
        let wanted = Arc::<OnceLock<()>>::default();
        if !agent.is_lazy {
            wanted.get_or_init(|| ());
        }
        let model = loading::start(&args.model, options, Arc::clone(&wanted))?;
        let limits = ServeLimits {
            rpc: Options {
                max_frame_bytes: args.max_frame_bytes,
                // Vim 9.0 hands a request whose id is that of a request of its own to the callback of that one.
                first_request_id: 1 << 30,
                ..Options::default()
            },
            max_queued: args.max_queued,
            memory_bytes,
        };
        let AgentOptions { roots, calls, conversations, .. } = agent;
        Ok(Self { conversations, roots, calls, wanted, ..Self::new(model, held, args.model.model, limits) })
    }

    /// Lets the model's loading begin, unless it has begun already.
    pub(crate) fn want_model(&self) {
        self.wanted.get_or_init(|| ());
    }

    /// Whether the model is loaded, is being loaded, or could not be loaded; otherwise it is not wanted yet.
    pub(crate) fn model_is_wanted(&self) -> bool {
        self.wanted.get().is_some()
    }

    pub(crate) fn model(&self) -> &ModelHandle {
        self.assistant.model()
    }

    /// The model's name, or what the command line calls it until that is known.
    pub(crate) fn model_name(&self) -> String {
        self.model().facts().map_or_else(|| self.reference.clone(), |it| it.name.clone())
    }

    /// Whether the engine's thread has died. Every open request is then answered with an error, and later ones fail
    /// too.
    pub(crate) fn engine_has_died(&self) -> bool {
        matches!(self.model().engine().state(), State::Failed(JobError::EngineDied { .. }))
    }
}
