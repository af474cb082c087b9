//! Shows a person who waits for the model how far loading is: [`wait`].

use std::time::Duration;

use agent_client_protocol_schema::v1::{ToolCallUpdateFields, ToolKind};
use runabout_assist::{JobError, LoadProgress, LoadStage, Model, ModelHandle, State};
use tokio::time::sleep;

use super::step::Step;
use super::updates::Updates;

/// Progress is told at most this often.
const INTERVAL: Duration = Duration::from_millis(500);

/// Waits until the model is ready. If it is not, the wait is shown like the use of a tool, which every client can show.
pub(super) async fn wait(model: &ModelHandle, name: &str, updates: &Updates) -> Result<Model, JobError> {
    let mut state = model.engine().watch_state();
    let State::Loading(progress) = state.borrow_and_update().clone() else { return model.ready().await };
    let mut told = title(&progress, name);
    let mut step = Step::begin(told.clone(), ToolKind::Other, None, updates).await;
    loop {
        let now = state.borrow_and_update().clone();
        let State::Loading(progress) = now else { break };
        let title = title(&progress, name);
        if title != told {
            step.change(ToolCallUpdateFields::new().title(title.clone()), updates).await;
            told = title;
        }
        let is_gone = tokio::select! {
            () = sleep(INTERVAL) => false,
            over = state.wait_for(|it| !matches!(it, State::Loading(_))) => over.is_err(),
        };
        if is_gone {
            break;
        }
    }
    let model = model.ready().await;
    match &model {
        Ok(_) => {
            step.change(ToolCallUpdateFields::new().title(format!("Loaded {name}")), updates).await;
            step.complete(updates).await;
        }
        Err(error) => step.fail(&error.to_string(), updates).await,
    }
    model
}

fn title(progress: &LoadProgress, name: &str) -> String {
    let stage = match progress.stage {
        LoadStage::Download => "Downloading",
        LoadStage::Load => "Loading",
    };
    match progress.done.saturating_mul(100).checked_div(progress.total) {
        Some(percentage) => format!("{stage} {name} ({percentage} %)"),
        None => format!("{stage} {name}"),
    }
}
