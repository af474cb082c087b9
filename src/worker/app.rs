//! The process: one model and its limits, for one or more clients.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Result;
use runabout_assist::{Assistant, HeldTexts, JobError, Limits, ModelHandle, State};
use runabout_engine::EngineOptions;
use runabout_rpc::Options;

use crate::cli::ServeArgs;
use crate::loading;
use crate::memory;
use crate::presence::Presence;

/// What all clients of the process share.
#[derive(Debug)]
pub(crate) struct App {
    /// The assistant from which each client gets its own, see [`Assistant::for_another_client`].
    pub(crate) assistant: Assistant,
    /// The model reference from the command line, used as the model's name until that is known.
    pub(crate) reference: String,
    pub(crate) started: Instant,
    pub(crate) limits: ServeLimits,
    pub(crate) presence: Arc<Presence>,
    /// Set once the model is wanted; loading waits for that.
    wanted: Arc<OnceLock<()>>,
}

/// For how many clients a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    Alone,
    WithOthers,
}

/// How many clients of a shared process need not wait until a job of another one has ended, see
/// [`EngineOptions::max_running_for_others`].
const N_OTHERS: usize = 8;

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
        Self {
            assistant,
            reference,
            started: Instant::now(),
            limits,
            presence: Presence::new(),
            wanted: Arc::new(OnceLock::from(())),
        }
    }

    /// Gets ready to load the model once it is wanted. Fails if a model reference is invalid or the engine's thread
    /// cannot be started.
    pub(crate) fn start(args: ServeArgs, sharing: Sharing) -> Result<Self> {
        let bytes = |mib: u64| mib.saturating_mul(1 << 20);
        let memory_bytes = args.model.memory_limit_bytes().or_else(memory::default_limit_bytes);
        let cache_limit_bytes =
            args.cache_limit_mib.map_or_else(|| memory::default_cache_bytes(memory_bytes), bytes);
        let held = Arc::new(HeldTexts::new(memory::max_held_bytes(memory_bytes)));
        let options = EngineOptions {
            step_target: Duration::from_millis(args.step_target_ms),
            memory_limit_bytes: memory_bytes,
            held_bytes: held.n_bytes_of_all(),
            cache_limit_bytes,
            n_min_reuse: args.cache_reuse,
            max_running: args.max_running,
            max_running_for_others: if sharing == Sharing::WithOthers { N_OTHERS } else { 0 },
            max_queued: args.max_queued,
            n_draft_tokens: args.model.n_draft_tokens(),
            ..EngineOptions::default()
        };
        let wanted = Arc::<OnceLock<()>>::default();
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
        Ok(Self { wanted, ..Self::new(model, held, args.model.model, limits) })
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
