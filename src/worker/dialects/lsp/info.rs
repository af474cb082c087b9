//! `runabout.info`: what the worker is doing, for a person who wonders why nothing is suggested.

use runabout_assist::State;
use serde_json::{Value, json};

use super::report::first_upper;
use super::session::Session;
use super::state;

/// The state of the model, the settings in effect, and what became of the last inline completion and the last request
/// for the next edit.
pub(super) fn info(session: &Session) -> Value {
    let model = session.client.assistant.model();
    let state = model.engine().state();
    let mut info = json!({
        "state": state::name(&state),
        "model": session.client.app.model_name(),
        "memoryBytes": model.engine().status().memory.active_bytes,
        "settings": *session.settings(),
        "last": session.last_report(),
        "nextEdit": session.last_next_edit(),
    });
    match state {
        State::Loading(progress) => info["message"] = state::sentence(&progress).into(),
        State::Failed(error) => info["message"] = first_upper(&error.to_string()).into(),
        State::Ready(description) => info["device"] = description.device.into(),
    }
    info
}
