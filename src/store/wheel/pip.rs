//! Runs pip so that it ends when this program ends: [`download`].
//!
//! A small Python script (`pip.py`) runs pip and watches its standard input. This program holds the other end of the
//! pipe. However the program ends, the pipe closes, and the script ends pip and deletes its scratch folder. That needs
//! no signals, works on every platform and also if Python was started by a wrapper script.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::{StoreError, io_error};

/// How often a running download is checked.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// The most lines of pip's output that go into an error message.
const MAX_REASON_LINES: usize = 6;
/// What Python says if nothing more can be written.
const DISK_FULL: &str = "No space left on device";
const SCRIPT: &str = include_str!("pip.py");

/// The package to download.
#[derive(Clone, Copy, Debug)]
pub struct Requirement<'a> {
    pub name: &'a str,
    /// `None` means the newest.
    pub version: Option<&'a str>,
    /// The hash of the wheel; if `None`, the caller checks the file.
    pub sha256: Option<&'a str>,
}

impl Requirement<'_> {
    /// The requirement as pip's argument: `name==version`.
    pub fn pip_argument(&self) -> String {
        self.version.map_or_else(|| self.name.to_owned(), |version| format!("{}=={version}", self.name))
    }
}

/// How to run pip.
#[derive(Clone, Debug)]
pub struct Pip {
    /// The Python whose pip is used; it also decides for which platform a wheel must be.
    pub python: OsString,
    /// Use only the folders that pip is configured for, never an index.
    pub offline: bool,
}

impl Default for Pip {
    fn default() -> Self {
        Self { python: "python3".into(), offline: false }
    }
}

/// Downloads into a folder inside `scratch` and returns that folder. `may_continue` is called while pip works; if it
/// returns false, pip is stopped.
pub(super) fn download(
    requirement: &Requirement<'_>,
    pip: &Pip,
    scratch: &Path,
    may_continue: &mut dyn FnMut() -> bool,
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
        // Only the error message suffers if reading fails.
        let _ = stderr.map(|mut it| it.read_to_end(&mut text));
        // If the receiver is gone, the text is not needed.
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    let text = loop {
        match receiver.recv_timeout(LOOK_EVERY) {
            Ok(text) => break text,
            Err(RecvTimeoutError::Timeout) if may_continue() => {}
            Err(RecvTimeoutError::Timeout) => {
                drop(lifeline);
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("the download is larger than expected and was stopped".to_owned()));
            }
            Err(RecvTimeoutError::Disconnected) => break String::new(),
        }
    };
    let status = child.wait().map_err(|err| no_pip(err.to_string()))?;
    drop(lifeline);
    // The thread has sent its only message or panicked; its result is not needed.
    let _ = reader.join();
    if status.success() {
        return Ok(wheels);
    }
    if text.contains("No module named pip") {
        return Err(no_pip("this Python has no pip".to_owned()));
    }
    if text.contains(DISK_FULL) {
        return Err(StoreError::DiskFull { action: "download to", path: scratch.to_owned() });
    }
    Err(failed(reason(&text).unwrap_or_else(|| status.to_string())))
}

/// What pip says about its failure; `None` if it says nothing.
fn reason(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    // This line only announces the traceback, at whose end the exception is.
    if lines.contains(&"ERROR: Exception:") {
        return lines.last().map(|it| (*it).to_owned());
    }
    let errors: Vec<&str> = lines.iter().copied().filter(|it| it.starts_with("ERROR:")).collect();
    let telling = if errors.is_empty() { lines } else { errors };
    let start = telling.len().saturating_sub(MAX_REASON_LINES);
    (!telling.is_empty()).then(|| telling[start..].join("; "))
}

/// pip's command line, and the folders it works in.
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
