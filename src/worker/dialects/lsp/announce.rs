//! What the client is told without having asked: the model's state, and how far loading is.

use std::time::Duration;

use runabout_assist::{JobError, LoadProgress, LoadStage, State};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::report::first_upper;
use super::session::Session;
use super::state;

/// The name of the notification about the model's state.
const STATUS: &str = "runabout/status";
/// Names the progress of loading towards the client.
const TOKEN: &str = "runabout/loading";
/// Progress is reported at most this often.
const INTERVAL: Duration = Duration::from_millis(100);

/// Tells the client the model's state until it can no longer change, at the latest when the engine has died. Before
/// `initialized`, LSP forbids it.
pub(super) async fn announce(session: &Session) {
    tokio::select! {
        () = session.initialized() => {}
        () = session.engine_died() => return,
    }
    tokio::join!(tell_state(session), show_progress(session));
}

/// Notifies the client of each state, if it wants that.
async fn tell_state(session: &Session) {
    let wants_it = session.agreement().is_some_and(|it| it.wants_notifications);
    let mut state = session.client.app.model().engine().watch_state();
    let mut told = Value::Null;
    loop {
        let now = state.borrow_and_update().clone();
        let status = state::status(session, &now);
        if wants_it && status != told {
            // Fails when the connection has ended.
            let _ = session.connection.notify(STATUS, &status).await;
            told = status;
        }
        if matches!(now, State::Failed(JobError::EngineDied { .. })) {
            return;
        }
        let next = Instant::now() + INTERVAL;
        if state.changed().await.is_err() {
            return;
        }
        if matches!(*state.borrow(), State::Loading(_)) {
            sleep_until(next).await;
        }
    }
}

/// Has the client show how far loading is, if it can and the model is not ready yet.
async fn show_progress(session: &Session) {
    if session.agreement().is_none_or(|it| !it.shows_progress) {
        return;
    }
    let mut state = session.client.app.model().engine().watch_state();
    let token = json!({"token": TOKEN});
    tokio::select! {
        biased;
        // Nothing to show, or the client did not answer until now.
        _ = state.wait_for(|it| !matches!(it, State::Loading(_))) => return,
        created = session.connection.request::<Value>("window/workDoneProgress/create", &token) => {
            if created.is_err() {
                return;
            }
        }
    }
    let tell = async |value: Value| {
        // Fails when the connection has ended.
        let _ = session.connection.notify("$/progress", &json!({"token": TOKEN, "value": value})).await;
    };
    let title = format!("Runabout: {}", session.client.app.model_name());
    tell(json!({"kind": "begin", "title": title, "cancellable": false})).await;
    loop {
        let now = state.borrow_and_update().clone();
        let State::Loading(progress) = now else { break };
        let mut report = json!({"kind": "report", "message": stage(&progress)});
        if let Some(percentage) = state::percentage(&progress) {
            report["percentage"] = percentage.into();
        }
        tell(report).await;
        sleep_until(Instant::now() + INTERVAL).await;
        if state.changed().await.is_err() {
            break;
        }
    }
    let message = match &*state.borrow() {
        State::Failed(error) => first_upper(&error.to_string()),
        _ => "ready".to_owned(),
    };
    tell(json!({"kind": "end", "message": message})).await;
}

fn stage(progress: &LoadProgress) -> &'static str {
    match progress.stage {
        LoadStage::Download => "downloading",
        LoadStage::Load => "loading",
    }
}
