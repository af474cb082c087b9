//! `runabout share`: the process that has the model and serves front ends.
//!
//! It lives as long as a client is connected, and for the time `--linger` after that. It leaves its place, so that the next front end starts
//! another process, when that time is over, when the model cannot be loaded, when the engine dies and when it is told to
//! stop; it then serves the clients that it has to their end.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as Farewells;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use runabout_assist::State;
use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::greeting::{self, Answer, Description, FAREWELL, Wish};
use super::options::SharedOptions;
use super::place::{self, Place};
use crate::app::{App, Sharing};
use crate::cli::ShareArgs;
use crate::connection;
use crate::dialects;
use crate::ending::{self, ENGINE_DIED, signals};
use crate::hang_up;

/// How long to wait after a connection could not be accepted, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the first client may take to come.
const FIRST: Duration = Duration::from_secs(10);

/// Serves front ends until none has been connected for the time `--linger`, and returns the exit code.
pub(crate) async fn run(args: ShareArgs, options: &SharedOptions) -> Result<i32> {
    // Fails if it leads a group of its own, as when a person starts it in a shell; then it may end with its terminal.
    let _ = rustix::process::setsid();
    let linger = Duration::from_secs(args.linger.linger);
    let place = Place::of(options)?;
    let Some(listener) = place.take().await? else {
        tracing::info!("another process shares this model already");
        return Ok(0);
    };
    let app = Arc::new(App::start(args.serve, Sharing::WithOthers)?);
    let (clients, all_end) = (TaskTracker::new(), CancellationToken::new());
    let stopped = signals()?;
    let end_all = all_end.clone();
    tokio::spawn(async move {
        stopped.await;
        end_all.cancel();
    });
    let why = tokio::select! {
        never = accept(&listener, &app, &clients, &all_end) => never,
        () = unneeded(&app, linger) => "no client has been connected for a while",
        () = broken(&app) => "the model cannot be used",
        () = all_end.cancelled() => "it was told to stop",
    };
    tracing::info!(why, "the process leaves its place");
    // Clients must be served nevertheless. Without a listener, the next front end takes the place.
    if let Err(error) = place.leave() {
        tracing::warn!("the place is not cleared: {error:#}");
    }
    accept_waiting(&listener, &app, &clients, &all_end);
    drop(listener);
    clients.close();
    clients.wait().await;
    ending::stop_engine(&app).await;
    Ok(if app.engine_has_died() { ENGINE_DIED } else { 0 })
}

async fn accept(
    listener: &UnixListener,
    app: &Arc<App>,
    clients: &TaskTracker,
    all_end: &CancellationToken,
) -> ! {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(clients.spawn(attend(stream, Arc::clone(app), all_end.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a front end could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Accepts those who connected just before the place was left.
fn accept_waiting(
    listener: &UnixListener,
    app: &Arc<App>,
    clients: &TaskTracker,
    all_end: &CancellationToken,
) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(Ok((stream, _))) = listener.poll_accept(&mut context) {
        clients.spawn(attend(stream, Arc::clone(app), all_end.clone()));
    }
}

/// Waits until no client has been connected for the time `linger`. The first one gets longer, since it starts the process.
async fn unneeded(app: &App, linger: Duration) {
    let mut n_present = app.presence.watch();
    let mut patience = linger.max(FIRST);
    loop {
        let came = n_present.wait_for(|it| *it > 0);
        if tokio::time::timeout(patience, came).await.is_err() {
            return;
        }
        patience = linger;
        // Fails only if the app is gone.
        let _ = n_present.wait_for(|it| *it == 0).await;
    }
}

/// Waits until the model could not be loaded, or the engine has died.
async fn broken(app: &App) {
    let mut state = app.model().engine().watch_state();
    let _ = state.wait_for(|it| matches!(it, State::Failed(_))).await;
}

/// Serves one connection to its end.
async fn attend(stream: UnixStream, app: Arc<App>, all_end: CancellationToken) {
    if let Err(error) = try_attend(stream, app, all_end).await {
        tracing::warn!("a front end was not served: {error:#}");
    }
}

async fn try_attend(stream: UnixStream, app: Arc<App>, all_end: CancellationToken) -> Result<()> {
    place::check_peer(&stream)?;
    // Serving takes both halves and drops them, so the farewell needs a descriptor of its own. So does the watch.
    let farewells = Farewells::from(stream.as_fd().try_clone_to_owned()?);
    let watched = stream.as_fd().try_clone_to_owned()?;
    let (input, mut output) = tokio::io::split(stream);
    let mut input = BufReader::new(input);
    let front = match greeting::listen(&mut input).await? {
        Wish::Serve(front) => front,
        Wish::Describe => return greeting::write(&mut output, &Answer::Description(describe(&app))).await,
    };
    greeting::write(&mut output, &Answer::Serving).await?;
    tracing::info!(?front, "a front end is served");
    let dialects = dialects::of(front.service);
    let connected = connection::connect(&app, front, dialects).hung_up_when(hang_up::input_closed(watched));
    let (client, handle) = (connected.client.clone(), connected.handle());
    let ending = tokio::spawn(async move {
        all_end.cancelled().await;
        handle.stop();
    });
    let end = connected.serve(input, output).await;
    ending.abort();
    tracing::info!(?end, "the connection has ended");
    let code = u8::try_from(ending::exit_code(&client)).unwrap_or(u8::MAX);
    // Fails if the front end is gone, or if its client does not read; then there is nobody to tell.
    let _ = std::io::Write::write_all(&mut &farewells, &[FAREWELL, code]);
    Ok(())
}

fn describe(app: &App) -> Description {
    let clients = app.presence.all().into_iter().map(|it| it.front.service).collect();
    Description { pid: std::process::id(), model: app.model_name(), clients }
}
