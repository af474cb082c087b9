//! `runabout serve`, `lsp`, `mcp` and `acp`: loads the model and serves one client on stdin and stdout, until
//! the client leaves, a signal arrives or the engine dies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use runabout_rpc::Handle;
use tokio::time::timeout;

use crate::app::{AgentOptions, App};
use crate::cli::ServeArgs;
use crate::connection;
use crate::dialects::Dialect;
use crate::hang_up;
use crate::output;

/// How long the engine may take to finish its current step at the end. A longer step is abandoned.
const LAST_STEP: Duration = Duration::from_millis(100);

/// The exit code when the engine died.
const ENGINE_DIED: i32 = 70;
/// The exit code for `exit` without `shutdown`, as in LSP.
const NOT_SHUT_DOWN: i32 = 1;

/// Serves one client on stdin and stdout until the connection ends, and returns the process's exit code.
/// The client's first message decides which of `dialects` it speaks.
pub(crate) async fn serve(
    args: ServeArgs,
    agent: AgentOptions,
    dialects: &'static [&'static dyn Dialect],
) -> Result<i32> {
    let stdout = output::take_stdout().context("cannot take stdout")?;
    let app = Arc::new(App::start(args, agent)?);
    let connected = connection::connect(&app, dialects).hung_up_when(hang_up::stdin_closed());
    let client = connected.client.clone();
    tokio::spawn(stop_on_signal(connected.handle())?);
    let end = connected.serve(tokio::io::stdin(), tokio::fs::File::from_std(stdout)).await;
    tracing::info!(?end, "the connection has ended");

    let engine = app.model().engine();
    engine.shutdown();
    // Otherwise its thread does nothing but wait.
    if app.model_is_wanted() {
        // After a timeout the step is abandoned, see `LAST_STEP`.
        let _ = timeout(LAST_STEP, engine.stopped()).await;
    }
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
