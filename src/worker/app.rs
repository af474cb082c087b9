//! The process: one model and its limits, for one or more clients.
//!
//! [`serve`] is the program's `runabout serve`: it starts the model, serves the client on stdin and stdout, and ends when
//! that client does, when it is told to, or when the engine has died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use runabout_assist::{Assistant, HeldTexts, JobError, Limits, ModelHandle, State};
use runabout_engine::EngineOptions;
use runabout_rpc::{Handle, Options};
use tokio::time::timeout;

use crate::cli::ServeArgs;
use crate::client;
use crate::dialects;
use crate::hang_up;
use crate::loading;
use crate::memory;
use crate::output;

/// How long the engine may take to finish its current step at the end. A longer step is abandoned.
const LAST_STEP: Duration = Duration::from_millis(100);

/// The exit code when the engine died.
const ENGINE_DIED: i32 = 70;
/// The exit code for `exit` without `shutdown`, as in LSP.
const NOT_SHUT_DOWN: i32 = 1;

/// What all clients of the process share.
#[derive(Debug)]
pub(crate) struct App {
    /// The model; each client gets an assistant of its own, see [`Assistant::for_another_client`].
    pub(crate) assistant: Assistant,
    /// The reference to the model that the person gave, until its own name is known.
    pub(crate) reference: String,
    pub(crate) started: Instant,
    pub(crate) limits: ServeLimits,
}

/// The limits of `serve` that clients are told, beside those of single requests.
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
        Self { assistant, reference, started: Instant::now(), limits }
    }

    /// Begins to load the model and returns at once.
    fn start(args: ServeArgs) -> Result<Self> {
        let bytes = |mib: u64| mib.saturating_mul(1 << 20);
        let memory_bytes = args.memory_limit.map(bytes).or_else(memory::default_limit_bytes);
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
        let model = loading::start(&args.model, options)?;
        let limits = ServeLimits {
            rpc: Options { max_frame_bytes: args.max_frame_bytes, ..Options::default() },
            max_queued: args.max_queued,
            memory_bytes,
        };
        Ok(Self::new(model, held, args.model.model, limits))
    }

    pub(crate) fn model(&self) -> &ModelHandle {
        self.assistant.model()
    }

    /// Whether the engine's thread has died, which every request is told and no later one survives.
    pub(crate) fn engine_has_died(&self) -> bool {
        matches!(self.model().engine().state(), State::Failed(JobError::EngineDied { .. }))
    }
}

/// Serves one client on stdin and stdout to the end, and returns the process's exit code.
pub(crate) async fn serve(args: ServeArgs) -> Result<i32> {
    let stdout = output::take_stdout().context("cannot take stdout")?;
    let app = Arc::new(App::start(args)?);
    let connected = client::connect(&app, dialects::ALL).hung_up_when(hang_up::stdin_closed());
    let client = connected.client.clone();
    tokio::spawn(stop_on_signal(connected.handle())?);
    let end = connected.serve(tokio::io::stdin(), tokio::fs::File::from_std(stdout)).await;
    tracing::info!(?end, "the connection has ended");

    let engine = app.model().engine();
    engine.shutdown();
    // Elapsed: see `LAST_STEP`.
    let _ = timeout(LAST_STEP, engine.stopped()).await;
    Ok(if app.engine_has_died() {
        ENGINE_DIED
    } else if client.exited_without_shutdown() {
        NOT_SHUT_DOWN
    } else {
        0
    })
}

/// SIGTERM and SIGINT end the connection as if the client had closed it.
fn stop_on_signal(handle: Handle) -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        handle.stop();
    })
}
