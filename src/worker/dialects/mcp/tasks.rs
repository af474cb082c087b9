//! Calls of tools as tasks, for clients that declare the extension `io.modelcontextprotocol/tasks`: [`Tasks`].
//!
//! Such a call is answered at once with a task, which the client asks about until it is done. A task ends with its result,
//! or because the client gave it up; it does not outlive the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use runabout_rpc::{ErrorObject, ErrorObjectOwned, Params, params};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::era::{Era, Meta, TASKS};
use super::progress::Progress;
use crate::client::Client;

const MISSING_CAPABILITY: i32 = -32021;
const INVALID_PARAMS: i32 = -32602;

/// How long a task can be asked about after it is done.
const KEPT: Duration = Duration::from_hours(1);
/// How often a client should ask, in milliseconds.
const POLL_INTERVAL_MS: u32 = 1_000;
/// More tasks are not kept: of those that are done, the oldest ones are forgotten first.
const MAX_TASKS: usize = 200;

/// The tasks of a connection.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<HashMap<String, Task>>);

#[derive(Debug)]
struct Task {
    created_at: String,
    updated_at: String,
    progress: Progress,
    give_up: watch::Sender<bool>,
    /// When it ended, and its result; `None` for a result that nobody wants any more.
    ended: Option<(Instant, Option<Value>)>,
}

#[derive(Deserialize)]
struct TaskParams {
    #[serde(rename = "taskId")]
    id: String,
}

impl Tasks {
    /// A new task, with its id. It is given up when the receiver says so.
    pub(super) fn begin(&self, progress: Progress) -> (String, watch::Receiver<bool>) {
        let (give_up, is_given_up) = watch::channel(false);
        let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let now = now();
        let task = Task { created_at: now.clone(), updated_at: now, progress, give_up, ended: None };
        let mut tasks = self.lock();
        forget(&mut tasks);
        tasks.insert(id.clone(), task);
        (id, is_given_up)
    }

    pub(super) fn end(&self, id: &str, result: Value) {
        if let Some(task) = self.lock().get_mut(id) {
            let is_wanted = !*task.give_up.borrow();
            task.ended = Some((Instant::now(), is_wanted.then_some(result)));
            task.updated_at = now();
        }
    }

    /// What the client is told of a task.
    pub(super) fn told(&self, id: &str, client: &Client) -> Option<Value> {
        let tasks = self.lock();
        let task = tasks.get(id)?;
        let status = match &task.ended {
            None => "working",
            Some((_, Some(_))) => "completed",
            Some((_, None)) => "cancelled",
        };
        let mut told = json!({
            "taskId": id,
            "status": status,
            "createdAt": task.created_at,
            "lastUpdatedAt": task.updated_at,
            // Until it ends, it is kept however long it takes.
            "ttlMs": null,
            "pollIntervalMs": POLL_INTERVAL_MS,
        });
        match &task.ended {
            None => told["statusMessage"] = task.progress.message(client).into(),
            Some((_, Some(result))) => told["result"] = result.clone(),
            Some((_, None)) => {}
        }
        Some(told)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Task>> {
        // No code can panic in the middle of a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what ended long ago, and if there are still too many, what ended first.
fn forget(tasks: &mut HashMap<String, Task>) {
    tasks.retain(|_, it| it.ended.as_ref().is_none_or(|(ended, _)| ended.elapsed() < KEPT));
    if tasks.len() >= MAX_TASKS {
        let ended =
            tasks.iter().filter_map(|(id, it)| it.ended.as_ref().map(|(ended, _)| (*ended, id.clone())));
        if let Some((_, first)) = ended.min() {
            tasks.remove(&first);
        }
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `tasks/get`
pub(super) fn get(params: &Params<'_>, tasks: &Tasks, client: &Client) -> Result<Value, ErrorObjectOwned> {
    let (era, id) = read(params)?;
    let told = tasks.told(&id, client).ok_or_else(unknown)?;
    Ok(era.result(told))
}

/// `tasks/cancel`: the task is told so, and ends within one step.
pub(super) fn cancel(params: &Params<'_>, tasks: &Tasks) -> Result<Value, ErrorObjectOwned> {
    let (era, id) = read(params)?;
    tasks.lock().get(&id).ok_or_else(unknown)?.give_up.send_replace(true);
    Ok(era.result(json!({})))
}

/// `tasks/update`: no task here asks for anything, so there is nothing to update.
pub(super) fn update(params: &Params<'_>, tasks: &Tasks) -> Result<Value, ErrorObjectOwned> {
    let (era, id) = read(params)?;
    tasks.lock().get(&id).ok_or_else(unknown)?;
    Ok(era.result(json!({})))
}

fn read(params: &Params<'_>) -> Result<(Era, String), ErrorObjectOwned> {
    let meta = Meta::of(params)?;
    if !meta.takes_tasks {
        let required = json!({"requiredCapabilities": {"extensions": {TASKS: {}}}});
        let message = format!("the request must declare the extension `{TASKS}`");
        return Err(ErrorObject::owned(MISSING_CAPABILITY, message, Some(required)));
    }
    Ok((meta.era, params::parse_lenient::<TaskParams>(params)?.id))
}

fn unknown() -> ErrorObjectOwned {
    ErrorObject::owned(INVALID_PARAMS, "there is no such task", Some(json!({"field": "taskId"})))
}
