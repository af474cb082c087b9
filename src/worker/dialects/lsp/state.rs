//! The model's state in the words of this dialect.

use runabout_assist::{LoadProgress, LoadStage, State};
use serde_json::{Value, json};

use super::report::first_upper;
use super::session::Session;

/// The state's name on the wire.
pub(super) fn name(state: &State) -> &'static str {
    match state {
        State::Loading(LoadProgress { stage: LoadStage::Download, .. }) => "downloading",
        State::Loading(_) => "loading",
        State::Ready(_) => "ready",
        State::Failed(_) => "failed",
    }
}

/// The state with what is known about it: `{state, model, message?, percentage?}`.
pub(super) fn status(session: &Session, state: &State) -> Value {
    let mut status = json!({"state": name(state), "model": session.client.app.model_name()});
    match state {
        State::Loading(progress) => {
            if let Some(percentage) = percentage(progress) {
                status["percentage"] = percentage.into();
            }
        }
        State::Failed(error) => status["message"] = first_upper(&error.to_string()).into(),
        State::Ready(_) => {}
    }
    status
}

/// How far loading is; `None` if it is not known.
pub(super) fn percentage(progress: &LoadProgress) -> Option<u32> {
    (progress.total > 0)
        .then(|| u32::try_from(progress.done.min(progress.total) * 100 / progress.total).unwrap_or(100))
}

/// A sentence that says how far loading is.
pub(super) fn sentence(progress: &LoadProgress) -> String {
    let what = match progress.stage {
        LoadStage::Download => "The model is still being downloaded",
        LoadStage::Load => "The model is still being loaded",
    };
    match percentage(progress) {
        Some(percentage) => format!("{what} ({percentage} %)."),
        None => format!("{what}."),
    }
}
