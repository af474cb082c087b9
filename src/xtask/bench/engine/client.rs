//! A client that measures times: a thread records when each line has been read.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// A worker that sends nothing for this long is broken.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The worker, on the other end of two pipes.
pub(super) struct Client {
    process: Child,
    stdin: ChildStdin,
    received: Receiver<Received>,
    unread: VecDeque<Received>,
    n_requests: u64,
}

struct Received {
    at: Instant,
    message: Value,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: u64,
    pub(super) at: Instant,
}

/// A request's answer, with its times.
pub(super) struct Answer {
    pub(super) result: Value,
    /// From the request to its first delta, or to the response if there was none.
    pub(super) first: Duration,
    pub(super) all: Duration,
    pub(super) ended: Instant,
}

impl Client {
    /// Starts the worker and waits until its model is loaded.
    pub(super) fn start(worker: &Path, model: &str, args: &[&str]) -> Result<Self> {
        Self::start_with(Command::new(worker), model, args)
    }

    /// The same with a command that has an environment of its own.
    pub(super) fn start_with(mut worker: Command, model: &str, args: &[&str]) -> Result<Self> {
        let mut process = worker
            .args(["serve", "--offline", "--model", model])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", worker.get_program().display()))?;
        let stdin = process.stdin.take().context("stdin is piped")?;
        let stdout = BufReader::new(process.stdout.take().context("stdout is piped")?);
        let (hear, received) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let at = Instant::now();
                let message = serde_json::from_str(&line).unwrap_or(Value::Null);
                if hear.send(Received { at, message }).is_err() {
                    break;
                }
            }
        });
        let mut client = Self { process, stdin, received, unread: VecDeque::new(), n_requests: 0 };
        client.call("initialize", &json!({}))?;
        let state = client.wait_for(|it| {
            it["method"] == "status" && matches!(it["params"]["state"].as_str(), Some("ready" | "failed"))
        })?;
        ensure!(state.message["params"]["state"] == "ready", "the model does not load: {}", state.message);
        Ok(client)
    }

    pub(super) fn request(&mut self, method: &str, params: &Value) -> Result<Sent> {
        self.n_requests += 1;
        let id = self.n_requests;
        let at = Instant::now();
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        Ok(Sent { id, at })
    }

    pub(super) fn cancel(&mut self, request: Sent) -> Result<()> {
        self.write(&json!({"jsonrpc": "2.0", "method": "cancel", "params": {"id": request.id}}))
    }

    pub(super) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        let request = self.request(method, params)?;
        Ok(self.answer(request)?.result)
    }

    /// Waits for the answer. Deltas of other requests stay unread.
    pub(super) fn answer(&mut self, request: Sent) -> Result<Answer> {
        let id = request.id;
        let mut first = None;
        loop {
            let mut received = self.wait_for(|it| is_answer(it, id) || is_delta(it, id))?;
            let since = received.at - request.at;
            let first = *first.get_or_insert(since);
            if is_answer(&received.message, id) {
                ensure!(
                    received.message.get("error").is_none(),
                    "request {id} failed: {}",
                    received.message["error"]
                );
                let result = received.message["result"].take();
                return Ok(Answer { result, first, all: since, ended: received.at });
            }
        }
    }

    /// Waits for a delta of a request, and leaves it unread.
    pub(super) fn wait_for_text(&mut self, request: Sent) -> Result<()> {
        let received = self.wait_for(|it| is_delta(it, request.id) || is_answer(it, request.id))?;
        self.unread.push_front(received);
        Ok(())
    }

    /// Whether the answer has arrived.
    pub(super) fn is_answered(&mut self, request: Sent) -> bool {
        self.unread.extend(self.received.try_iter());
        self.unread.iter().any(|it| is_answer(&it.message, request.id))
    }

    /// Drops the unread deltas. They belong to requests that have been answered.
    pub(super) fn forget_text(&mut self) {
        self.unread.retain(|it| it.message["method"] != "delta");
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The process's resident memory, mapped files included; `None` if the system does not report it.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let kibibytes =
            status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
        Some(kibibytes.parse::<u64>().ok()? * 1024)
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        writeln!(self.stdin, "{message}").and_then(|()| self.stdin.flush()).context("the worker has ended")
    }

    fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool) -> Result<Received> {
        if let Some(i) = self.unread.iter().position(|it| is_it(&it.message)) {
            return self.unread.remove(i).context("the position was just found");
        }
        loop {
            let Ok(received) = self.received.recv_timeout(TIMEOUT) else {
                bail!("the worker has sent nothing for a long time")
            };
            if is_it(&received.message) {
                return Ok(received);
            }
            self.unread.push_back(received);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_answer(message: &Value, id: u64) -> bool {
    message["id"] == id && message.get("method").is_none()
}

fn is_delta(message: &Value, id: u64) -> bool {
    message["method"] == "delta" && message["params"]["id"] == id
}

/// A number of a result, such as `usage.completion_tokens`.
pub(super) fn figure(result: &Value, group: &str, key: &str) -> Result<f64> {
    result[group][key].as_f64().with_context(|| format!("no `{group}.{key}` in {result}"))
}
