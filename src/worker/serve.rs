//! `runabout serve`: one client on stdin and stdout, one model.
//!
//! Joins the three that know nothing of each other: `rpc` reads and writes, [`methods`](crate::methods) translate, the
//! engine works. The process ends when the client does, when it is told to, or when the engine has died.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use runabout_api::notifications::{Progress, StatusChanged};
use runabout_api::{Notification, ProgressParams, ProgressStage, ProgressUnit, StatusParams, WorkerState};
use runabout_engine::{EngineOptions, JobError, LoadProgress, LoadStage, State};
use runabout_rpc::{Connection, Handle, Options, Protocol};
use tokio::time::{Instant, timeout};

use crate::cli::ServeArgs;
use crate::convert;
use crate::hang_up;
use crate::held::HeldTexts;
use crate::host::Host;
use crate::memory;
use crate::methods;
use crate::output;
use crate::session::Session;

/// While something long runs, the client hears of it this often even if nothing moves.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Progress that moves is reported this often at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// For the engine to finish the step it is in. A longer one is left behind: the process ends under it.
const LAST_STEP: Duration = Duration::from_millis(100);

/// The exit code when the engine died.
const ENGINE_DIED: i32 = 70;
/// The exit code for `exit` without `shutdown`, as in LSP.
const NOT_SHUT_DOWN: i32 = 1;

pub(crate) async fn run(args: ServeArgs) -> Result<i32> {
    let stdout = output::take_stdout().context("cannot take stdout")?;
    let options = Options { max_frame_bytes: args.max_frame_bytes, ..Options::default() };
    let bytes = |mib: u64| mib.saturating_mul(1 << 20);
    let memory_limit_bytes = args.memory_limit.map(bytes).or_else(memory::default_limit_bytes);
    let cache_limit_bytes =
        args.cache_limit_mib.map_or_else(|| memory::default_cache_bytes(memory_limit_bytes), bytes);
    let held = Arc::new(HeldTexts::new(memory::max_held_bytes(memory_limit_bytes)));
    let host = Host::start(
        &args.model,
        EngineOptions {
            step_target: Duration::from_millis(args.step_target_ms),
            memory_limit_bytes,
            held_bytes: held.n_bytes(),
            cache_limit_bytes,
            n_min_reuse: args.cache_reuse,
            max_running: args.max_running,
            max_queued: args.max_queued,
            n_draft_tokens: args.model.n_draft_tokens(),
            ..EngineOptions::default()
        },
    )?;
    let session = Session::new(host, args.model.model, &options, held, args.max_queued, memory_limit_bytes);
    let session = Arc::new(session);
    let protocol = Protocol {
        methods: methods::registry(Arc::clone(&session))?.into(),
        notifications: methods::notifications(Arc::clone(&session)),
        ..Protocol::default()
    };
    let connection = Connection::new(protocol, options).hung_up_when(hang_up::stdin_closed());
    let handle = connection.handle();
    tokio::spawn(announce(Arc::clone(&session), handle.clone()));
    tokio::spawn(warn_of_memory(Arc::clone(&session), handle.clone()));
    tokio::spawn(stop_on_signal(handle)?);
    let end = connection.serve(tokio::io::stdin(), tokio::fs::File::from_std(stdout)).await;
    tracing::info!(?end, "the connection has ended");

    session.host.engine.shutdown();
    // Elapsed: see there.
    let _ = timeout(LAST_STEP, session.host.engine.stopped()).await;
    Ok(if matches!(session.host.engine.state(), State::Failed(JobError::EngineDied { .. })) {
        ENGINE_DIED
    } else if session.has_exited_unasked() {
        NOT_SHUT_DOWN
    } else {
        0
    })
}

/// Tells the client how loading goes, and when the state changes. Ends the connection if the engine dies.
async fn announce(session: Arc<Session>, handle: Handle) {
    let mut state = session.host.engine.watch_state();
    let mut last_progress: Option<Instant> = None;
    let mut last_state = WorkerState::Loading;
    loop {
        let now = state.borrow_and_update().clone();
        match &now {
            State::Loading(progress) => {
                if last_progress.is_none_or(|it| it.elapsed() >= PROGRESS_INTERVAL) {
                    last_progress = Some(Instant::now());
                    // News that lose their worth: a client that does not read them does not hold us up.
                    let _ = handle.try_notify(Progress::NAME, &loading(*progress));
                }
            }
            State::Ready(_) | State::Failed(_) => {
                let changed = convert::worker_state(&now);
                if changed != last_state {
                    last_state = changed;
                    let error = match &now {
                        State::Failed(error) => Some(convert::error_data(error)),
                        _ => None,
                    };
                    let model = (changed == WorkerState::Ready).then(|| session.model_summary());
                    let params = StatusParams { state: changed, model, error, memory: None };
                    // Closed: nobody is there to hear it.
                    let _ = handle.notify(StatusChanged::NAME, &params).await;
                }
                if let State::Failed(JobError::EngineDied { message }) = &now {
                    tracing::error!(message, "the engine died");
                    handle.stop();
                    return;
                }
            }
        }
        let is_loading = matches!(now, State::Loading(_));
        let changed = if is_loading {
            match timeout(HEARTBEAT, state.changed()).await {
                Ok(changed) => changed,
                Err(_) => continue,
            }
        } else {
            state.changed().await
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Tells the client each time memory gets short.
async fn warn_of_memory(session: Arc<Session>, handle: Handle) {
    let mut is_short = session.host.engine.watch_memory();
    while is_short.changed().await.is_ok() {
        if *is_short.borrow_and_update() {
            let params = StatusParams {
                state: convert::worker_state(&session.host.engine.state()),
                model: None,
                error: None,
                memory: Some(session.memory()),
            };
            // News that lose their worth.
            let _ = handle.try_notify(StatusChanged::NAME, &params);
        }
    }
}

fn loading(progress: LoadProgress) -> ProgressParams {
    ProgressParams {
        id: None,
        stage: match progress.stage {
            LoadStage::Download => ProgressStage::Download,
            LoadStage::Load => ProgressStage::Load,
        },
        done: progress.done,
        total: (progress.total > 0).then_some(progress.total),
        unit: ProgressUnit::Bytes,
    }
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
