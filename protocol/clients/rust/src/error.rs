//! What can go wrong.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use crate::protocol::ChatResult;

/// Why a request has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no program to start.
    #[error("there is no program `{}`{}\nhint: put it on the PATH, or its path into the environment variable RUNABOUT",
        program.display(), if *by_variable { ", which the environment variable RUNABOUT names" } else { "" })]
    ProgramNotFound {
        /// What was looked for.
        program: PathBuf,
        /// Whether the environment variable names it.
        by_variable: bool,
    },
    /// The program could not be started.
    #[error("the worker cannot be started: {0}")]
    Start(String),
    /// The worker ended before it answered. The next request starts another one, unless the client shall not.
    #[error("the worker ended{0} before it answered")]
    WorkerEnded(WorkerEnd),
    /// There was no answer within the client's time limit; the request has been cancelled.
    #[error("`{method}` was not answered within {limit:?}")]
    TimedOut {
        /// The method of the request.
        method: String,
        /// The time limit.
        limit: Duration,
    },
    /// The client was closed before the request was answered.
    #[error("the client is closed")]
    Closed,
    /// The worker answered with an error: branch on `code`, or on `kind` for the worker's own errors.
    #[error("{message}{}", hint.as_ref().map(|it| format!("\nhint: {it}")).unwrap_or_default())]
    Failed {
        /// The code of the error.
        code: i64,
        /// What is wrong, for people.
        message: String,
        /// The kind of one of the worker's own errors, such as `prompt_too_long`; it may be one that is not known yet.
        kind: Option<String>,
        /// What might help, for people.
        hint: Option<String>,
        /// Further members of the error.
        data: Value,
    },
    /// The answer was cut off before it had the form that was asked for.
    #[error("the answer is incomplete: it ended{}, with reason {:?}", inside(.0), .0.finish_reason)]
    Incomplete(Box<ChatResult>),
    /// The params or the result do not have the form of the protocol.
    #[error("not as the protocol has it: {0}")]
    Form(String),
}

impl Error {
    pub(crate) fn failed(code: i64, message: &str, data: Value) -> Self {
        let (message, of_message) = match message.split_once("\nhint: ") {
            Some((message, hint)) => (message, Some(hint)),
            None => (message, None),
        };
        let member = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        let hint = member("hint").or(of_message.map(str::to_owned));
        Self::Failed { code, message: message.to_owned(), kind: member("kind"), hint, data }
    }
}

fn inside(result: &ChatResult) -> String {
    let open = result.incomplete.as_ref().and_then(|it| it.pointer.as_ref().zip(it.open.as_ref()));
    open.map_or(String::new(), |(pointer, open)| {
        format!(" within the value at `{pointer}`, with `{open}` open")
    })
}

/// How a worker ended.
#[derive(Clone, Debug)]
pub struct WorkerEnd {
    /// The exit status of the process; absent if it is not known.
    pub status: Option<ExitStatus>,
    /// The last lines of its log.
    pub log: Vec<String>,
}

impl fmt::Display for WorkerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, " with {status}")?;
        }
        if self.log.is_empty() { Ok(()) } else { write!(f, " (its log: {})", self.log.join("; ")) }
    }
}
