//! One resident model for several front ends of one person: an editor, agents, scripts.
//!
//! `runabout serve`, `lsp`, `mcp` and `acp` are front ends. Unless told otherwise, a front end looks for a process that
//! has the same model with the same options, starts one if there is none, and relays its client's bytes to it
//! ([`relay`]). That process, the [`broker`], serves each of them as a client of its own. It ends some time after the last
//! one has left. They meet at a socket in a folder that only this person can open ([`place`]), and the first line
//! in each direction introduces them ([`greeting`]).
//!
//! Whatever is in the way of sharing, the client is served: then by its own process, with the model in it.

mod broker;
mod greeting;
mod options;
mod place;
mod relay;

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

pub(crate) use self::broker::run as run_broker;
pub(crate) use self::greeting::Description;
pub(crate) use self::options::SharedOptions;
use self::place::Place;
pub(crate) use self::relay::relay;
use crate::front_end::FrontEnd;

/// How long a new process may take until it can be reached. It does not load the model before that.
const START: Duration = Duration::from_secs(10);
/// A log that is larger is emptied by the next process.
const MAX_LOG_BYTES: u64 = 1 << 20;
/// How often it is tried meanwhile.
const INTERVAL: Duration = Duration::from_millis(10);

/// Connects to the process that shares the model, and starts it if there is none. Fails if they cannot share; the reason
/// is for the log.
pub(crate) async fn connect(front: &FrontEnd, options: &SharedOptions) -> Result<UnixStream> {
    let place = Place::of(options)?;
    let deadline = Instant::now() + START;
    if let Some(stream) = greet(&place, front).await? {
        return Ok(stream);
    }
    let mut broker = start(&place, options)?;
    loop {
        // Read first: if it ended because another one was faster, that one can be reached now.
        let ended = broker.try_wait().context("cannot wait for the shared process")?;
        if let Some(stream) = greet(&place, front).await? {
            // Who starts a process must wait for its end, or it stays in the system's table. That is done elsewhere.
            std::thread::spawn(move || broker.wait());
            return Ok(stream);
        }
        match ended {
            Some(status) => {
                bail!("the shared process ended ({status}), its log is `{}`", place.log().display())
            }
            None if Instant::now() > deadline => bail!("the shared process cannot be reached"),
            None => sleep(INTERVAL).await,
        }
    }
}

/// The processes of this person that share a model.
pub(crate) async fn running() -> Vec<Description> {
    let mut running = Vec::new();
    for place in place::find_all() {
        if let Ok(Some(stream)) = place.connect().await {
            // One that has just ended says nothing.
            running.extend(greeting::describe(stream).await.ok());
        }
    }
    running
}

/// A connection to the process at this place that has accepted the front end; `None` if there is none.
async fn greet(place: &Place, front: &FrontEnd) -> Result<Option<UnixStream>> {
    let Some(stream) = place.connect().await? else { return Ok(None) };
    match greeting::introduce(stream, front).await {
        Ok(stream) => Ok(Some(stream)),
        // It ended just now.
        Err(error) => {
            tracing::debug!(%error, "the shared process does not answer");
            Ok(None)
        }
    }
}

/// Opens the log for what a new process adds to it. What the ones before have written, such as why they ended, stays there
/// until the log is large.
fn open_log(path: &Path) -> io::Result<File> {
    let log = File::options().create(true).append(true).open(path)?;
    if log.metadata()?.len() > MAX_LOG_BYTES {
        log.set_len(0)?;
    }
    Ok(log)
}

/// Starts a process that shares the model, in no relation to this one's terminal and folder.
fn start(place: &Place, options: &SharedOptions) -> Result<std::process::Child> {
    let program = std::env::current_exe().context("cannot find the program")?;
    let log = open_log(&place.log()).with_context(|| format!("cannot write `{}`", place.log().display()))?;
    let child = Command::new(program)
        .arg("share")
        .args(options.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .current_dir("/")
        .spawn();
    child.context("cannot start the shared process")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_log_keeps_what_earlier_processes_wrote_until_it_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for n_before in [0, 5] {
            assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), n_before);
            std::fs::write(&path, "ended").unwrap();
        }
        std::fs::write(&path, vec![b'.'; usize::try_from(MAX_LOG_BYTES).unwrap() + 1]).unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 0);
    }
}
