//! How a process that serves clients ends: what ends it, what it waits for, and its exit code.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::app::App;
use crate::client::Client;

/// How long the engine may take to finish its current step at the end. A longer step is abandoned.
const LAST_STEP: Duration = Duration::from_millis(100);

/// The exit code when the engine died.
pub(crate) const ENGINE_DIED: i32 = 70;
/// The exit code for `exit` without `shutdown`, as in LSP.
const NOT_SHUT_DOWN: i32 = 1;

/// Ends the engine, in the middle of a step if need be.
pub(crate) async fn stop_engine(app: &App) {
    let engine = app.model().engine();
    engine.shutdown();
    // Otherwise its thread does nothing but wait.
    if app.model_is_wanted() {
        // After a timeout the step is abandoned, see `LAST_STEP`.
        let _ = timeout(LAST_STEP, engine.stopped()).await;
    }
}

/// The code with which the process that this client started exits.
pub(crate) fn exit_code(client: &Client) -> i32 {
    if client.app.engine_has_died() {
        ENGINE_DIED
    } else if client.exited_without_shutdown() {
        NOT_SHUT_DOWN
    } else {
        0
    }
}

/// Waits for SIGTERM or SIGINT, which end a connection as if the client had closed it.
pub(crate) fn signals() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use runabout_rpc::Options;

    use super::*;

    #[test]
    fn the_process_ends_well_within_a_second_after_its_client() {
        let left = Duration::from_secs(1)
            .checked_sub(Options::default().grace + Options::LAST_WORDS + LAST_STEP)
            .expect("the waits are less than a second");
        // The rest is for the exit itself, which takes time too.
        assert!(left >= Duration::from_millis(100), "{left:?}");
    }
}
