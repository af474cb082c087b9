//! Notifications that a native client gets without a request: the progress of loading, a new state, a shortage of
//! memory.

use std::future::pending;
use std::time::Duration;

use runabout_api::notifications::{Progress, StatusChanged};
use runabout_api::{Notification, ProgressParams, ProgressStage, ProgressUnit, StatusParams, WorkerState};
use runabout_assist::{JobError, LoadProgress, LoadStage, State};
use runabout_rpc::Handle;
use tokio::time::{Instant, timeout};

use super::{about, to_wire};
use crate::client::Client;

/// While the model loads, its progress is reported at least this often.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Loading progress is reported at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Notifies the client until the state can no longer change, at the latest when the engine has died.
pub(super) async fn announce(client: Client, connection: Handle) {
    tokio::select! {
        () = announce_state(&client, &connection) => {}
        () = warn_of_memory(&client, &connection) => {}
    }
}

async fn announce_state(client: &Client, connection: &Handle) {
    let mut state = client.app.model().engine().watch_state();
    let mut last_progress: Option<Instant> = None;
    let mut last_state = WorkerState::Loading;
    loop {
        let now = state.borrow_and_update().clone();
        match &now {
            State::Loading(progress) => {
                if last_progress.is_none_or(|it| it.elapsed() >= PROGRESS_INTERVAL) {
                    last_progress = Some(Instant::now());
                    // Dropped if the queue is full: only the latest matters.
                    let _ = connection.try_notify(Progress::NAME, &loading(*progress));
                }
            }
            State::Ready(_) | State::Failed(_) => {
                let changed = to_wire::worker_state(&now);
                if changed != last_state {
                    last_state = changed;
                    let error = match &now {
                        State::Failed(error) => Some(to_wire::error_data(error)),
                        _ => None,
                    };
                    let model = (changed == WorkerState::Ready).then(|| about::model_summary(&client.app));
                    let params = StatusParams { state: changed, model, error, memory: None };
                    // Fails when the connection has ended.
                    let _ = connection.notify(StatusChanged::NAME, &params).await;
                }
                if matches!(now, State::Failed(JobError::EngineDied { .. })) {
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

/// Notifies the client each time memory becomes short. Never returns.
async fn warn_of_memory(client: &Client, connection: &Handle) {
    let engine = client.app.model().engine();
    let mut is_short = engine.watch_memory();
    while is_short.changed().await.is_ok() {
        if *is_short.borrow_and_update() {
            let params = StatusParams {
                state: to_wire::worker_state(&engine.state()),
                model: None,
                error: None,
                memory: Some(about::memory(&client.app)),
            };
            // Dropped if the queue is full: only the latest matters.
            let _ = connection.try_notify(StatusChanged::NAME, &params);
        }
    }
    pending::<()>().await;
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
