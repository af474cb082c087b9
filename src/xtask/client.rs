//! A minimal client of the protocol: one JSON message per line, over the pipes of a child process.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

pub(crate) struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Messages that were read while waiting for another one.
    unread: VecDeque<Value>,
    next_id: i64,
}

impl Client {
    pub(crate) fn start(worker: &Path, model: &str) -> Result<Self> {
        Self::spawn(Command::new(worker).args(["serve", "--model", model]))
    }

    /// Starts a program that speaks the protocol, or another one of lines with JSON-RPC.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Self { child, stdin, stdout, unread: VecDeque::new(), next_id: 1 })
    }

    /// Sends a message as it is written.
    pub(crate) fn send(&mut self, message: &str) -> Result<()> {
        writeln!(self.stdin, "{message}")?;
        Ok(self.stdin.flush()?)
    }

    /// Sends a request and returns its id.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Result<i64> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())?;
        Ok(id)
    }

    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        let id = self.request(method, params)?;
        self.result(id)
    }

    pub(crate) fn result(&mut self, id: i64) -> Result<Value> {
        let mut response = self.wait_for(|it| is_response(it, id))?;
        ensure!(response.get("error").is_none(), "request {id} failed: {}", response["error"]);
        Ok(response["result"].take())
    }

    /// The next delta of a request; `None` once its response has arrived.
    pub(crate) fn delta(&mut self, id: i64) -> Result<Option<String>> {
        let message =
            self.wait_for(|it| is_response(it, id) || (it["method"] == "delta" && it["params"]["id"] == id))?;
        if is_response(&message, id) {
            self.unread.push_front(message);
            return Ok(None);
        }
        Ok(message["params"]["text"].as_str().map(str::to_owned))
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let message = self.wait_for(|it| {
            it["method"] == "status" && matches!(it["params"]["state"].as_str(), Some("ready" | "failed"))
        })?;
        ensure!(message["params"]["state"] == "ready", "the model does not load: {}", message["params"]);
        Ok(())
    }

    /// Ends the session as LSP does, and expects the process to succeed.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.call("shutdown", &json!({}))?;
        self.send(&json!({"jsonrpc": "2.0", "method": "exit"}).to_string())?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the worker ended with {status}");
        Ok(())
    }

    /// Closes the program's input, and waits for its end.
    pub(crate) fn close(self) -> Result<()> {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        let status = child.wait()?;
        ensure!(status.success(), "the program ended with {status}");
        Ok(())
    }

    /// The next message that `is_it`; the others stay for later.
    pub(crate) fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        if let Some(i) = self.unread.iter().position(&is_it) {
            return self.unread.remove(i).context("the position was just found");
        }
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("the worker closed its output");
            }
            let message: Value =
                serde_json::from_str(&line).with_context(|| format!("not JSON: `{line}`"))?;
            if is_it(&message) {
                return Ok(message);
            }
            self.unread.push_back(message);
        }
    }
}

fn is_response(message: &Value, id: i64) -> bool {
    message["id"] == id && message.get("method").is_none()
}
