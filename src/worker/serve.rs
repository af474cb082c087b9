//! `runabout serve`, `lsp`, `mcp` and `acp`: serves one client on stdin and stdout, until the client leaves, a signal
//! arrives or the engine dies. The model is in this process, or in one that is [shared](crate::share).

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::app::{App, Sharing};
use crate::cli::ServeArgs;
use crate::connection;
use crate::dialects;
use crate::ending::{exit_code, signals, stop_engine};
use crate::front_end::FrontEnd;
use crate::hang_up;
use crate::loading;
use crate::output;
use crate::share::{self, SharedOptions};

/// Serves one client on stdin and stdout until the connection ends, and returns the process's exit code. With `shared`, a
/// process with these options has the model, if that is possible.
pub(crate) async fn serve(args: ServeArgs, front: FrontEnd, shared: Option<&SharedOptions>) -> Result<i32> {
    let stdout = tokio::fs::File::from_std(output::take_stdout().context("cannot take stdout")?);
    // Said here, and not by a process that is started in vain.
    loading::check(&args.model)?;
    if let Some(options) = shared {
        match share::connect(&front, options).await {
            Ok(stream) => return share::relay(stream, stdout).await,
            Err(error) => tracing::warn!("the model is not shared with other processes: {error:#}"),
        }
    }
    let app = Arc::new(App::start(args, Sharing::Alone)?);
    let dialects = dialects::of(front.service);
    let connected = connection::connect(&app, front, dialects).hung_up_when(hang_up::stdin_closed());
    let (client, handle) = (connected.client.clone(), connected.handle());
    let stopped = signals()?;
    tokio::spawn(async move {
        stopped.await;
        handle.stop();
    });
    let end = connected.serve(tokio::io::stdin(), stdout).await;
    tracing::info!(?end, "the connection has ended");
    stop_engine(&app).await;
    Ok(exit_code(&client))
}
