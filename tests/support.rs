//! The shared parts of the integration tests: a client that talks to the real program over pipes.
//!
//! Every wait has a deadline, so that a silent worker fails a test instead of hanging it. The deadline is not a measure
//! of speed: it is far above what the slowest machine needs.

pub(crate) mod tiny_gguf;
pub(crate) mod tiny_model;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_mins(5);

/// How messages are separated on the pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    Lines,
    Headers,
}

/// A running `runabout serve`.
pub(crate) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<String>,
    /// Messages that arrived while waiting for another one.
    unread: VecDeque<Value>,
    framing: Framing,
    next_id: i64,
    stderr: std::sync::Arc<std::sync::Mutex<String>>,
    /// Reads stderr to its end.
    log_reader: std::thread::JoinHandle<()>,
}

/// The built program.
pub(crate) fn runabout() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runabout"));
    command.env("RUNABOUT_LOG", "debug");
    // The settings of whoever runs the tests do not count.
    command.env("RUNABOUT_CONFIG", "");
    // What a test does to its process must not reach the others.
    command.env("RUNABOUT_ALONE", "1");
    command
}

impl Worker {
    /// Serves the tiny random model.
    pub(crate) fn tiny() -> Self {
        Self::serving(tiny_model::folder(), &[])
    }

    /// Serves a model that takes long for each token, for tests of requests that must still be running.
    pub(crate) fn slow() -> Self {
        Self::serving(tiny_model::slow_folder(), &[])
    }

    pub(crate) fn serving(model: &Path, args: &[&str]) -> Self {
        Self::start(model, args, Framing::Lines)
    }

    pub(crate) fn start(model: &Path, args: &[&str], framing: Framing) -> Self {
        let mut command = runabout();
        command.arg("serve").arg("--model").arg(model).args(args);
        Self::spawn(command, framing)
    }

    pub(crate) fn spawn(mut command: Command, framing: Framing) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read_message(&mut stdout, framing) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let stderr = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let log = std::sync::Arc::clone(&stderr);
        let child_stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let log_reader = std::thread::spawn(move || {
            for line in child_stderr.lines().map_while(Result::ok) {
                let mut log = log.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, stdin, messages, unread: VecDeque::new(), framing, next_id: 1, stderr, log_reader }
    }

    /// Writes raw bytes. A worker that has ended is not an error here; the test notices that by its answers.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Frames and sends one message.
    pub(crate) fn send_text(&mut self, text: &str) {
        let frame = match self.framing {
            Framing::Lines => format!("{text}\n"),
            Framing::Headers => format!("Content-Length: {}\r\n\r\n{text}", text.len()),
        };
        self.send_bytes(frame.as_bytes());
    }

    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Sends a request and returns its id.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The response to a request, as a whole message.
    pub(crate) fn response(&mut self, id: i64) -> Value {
        self.wait_for(&format!("the response to {id}"), |it| it["id"] == id && it.get("method").is_none())
    }

    /// Calls a method that must succeed.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        self.result(id)
    }

    pub(crate) fn result(&mut self, id: i64) -> Value {
        let mut response = self.response(id);
        assert!(response.get("error").is_none(), "expected a result, got {response}");
        response["result"].take()
    }

    /// Calls a method that must fail, and returns the error.
    pub(crate) fn call_error(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        self.error(id)
    }

    pub(crate) fn error(&mut self, id: i64) -> Value {
        let mut response = self.response(id);
        assert!(response.get("result").is_none(), "expected an error, got {response}");
        response["error"].take()
    }

    /// Waits for the first delta of a request, and leaves it unread.
    pub(crate) fn wait_for_delta(&mut self, id: i64) {
        let delta = self.wait_for(&format!("a delta of {id}"), |it| is_delta(it, id));
        self.unread.push_front(delta);
    }

    /// The deltas of a request that have arrived so far, in order.
    pub(crate) fn deltas(&mut self, id: i64) -> Vec<Value> {
        self.take(|it| is_delta(it, id)).into_iter().map(|mut it| it["params"].take()).collect()
    }

    /// The texts of a request's deltas, joined; also checks that their numbers count from 0.
    pub(crate) fn streamed_text(&mut self, id: i64) -> String {
        let deltas = self.deltas(id);
        for (seq, delta) in deltas.iter().enumerate() {
            assert_eq!(delta["seq"], seq, "deltas come in order: {deltas:?}");
        }
        deltas.iter().filter_map(|it| it["text"].as_str()).collect()
    }

    /// The first message, already read or not, that `is_it` accepts; others are kept.
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(i) = self.unread.iter().position(&is_it) {
            return self.unread.remove(i).expect("the position was just found");
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let message = parse(&self.next_text(what, deadline));
            if is_it(&message) {
                return message;
            }
            self.unread.push_back(message);
        }
    }

    /// The messages that have arrived so far and that `is_it` accepts, in order; others are kept.
    pub(crate) fn take(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.unread.extend(self.messages.try_iter().map(|it| parse(&it)));
        let (taken, unread) = std::mem::take(&mut self.unread).into_iter().partition(is_it);
        self.unread = unread;
        let taken: VecDeque<Value> = taken;
        taken.into()
    }

    /// The next message exactly as written; `None` if there will be no more. For tests that read every message in its
    /// order; messages that other methods kept are not included.
    pub(crate) fn next_message(&mut self) -> Option<String> {
        match self.messages.recv_timeout(DEADLINE) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no message came in time; log:\n{}", self.log()),
        }
    }

    fn next_text(&self, what: &str, deadline: Instant) -> String {
        self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap_or_else(|e| {
            let why =
                if e == RecvTimeoutError::Timeout { "did not come in time" } else { "can no longer come" };
            panic!("{what} {why}; unread: {:?}; log:\n{}", self.unread, self.log());
        })
    }

    /// All unread messages of the worker, once it has ended.
    pub(crate) fn remaining(&mut self) -> Vec<Value> {
        let rest: Vec<_> = self.messages.iter().map(|it| parse(&it)).collect();
        self.unread.drain(..).chain(rest).collect()
    }

    /// Fails if the response to `id` arrived before the message that was waited for last. Later messages do not count:
    /// how many of them have arrived depends on the machine.
    pub(crate) fn assert_unanswered(&self, id: i64) {
        let answer = self.unread.iter().find(|it| it["id"] == id && it.get("method").is_none());
        assert!(answer.is_none(), "request {id} should still run, got {answer:?}");
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the worker is a child of ours") {
                // What it wrote last may not have been read yet. A process that it started may hold stderr open.
                let deadline = Instant::now() + Duration::from_secs(5);
                while !self.log_reader.is_finished() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(2));
                }
                return status;
            }
            assert!(Instant::now() < deadline, "the worker did not end; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The worker's stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_delta(message: &Value, id: i64) -> bool {
    message["method"] == "delta" && message["params"]["id"] == id
}

/// The text of the next message; `None` at the end.
fn read_message(stdout: &mut impl BufRead, framing: Framing) -> Option<String> {
    let mut line = String::new();
    if stdout.read_line(&mut line).ok()? == 0 {
        return None;
    }
    match framing {
        Framing::Lines => Some(line),
        Framing::Headers => {
            let length =
                line.strip_prefix("Content-Length: ").expect("a header, exactly as LSP has it").trim();
            let mut body = vec![0; length.parse().expect("a length")];
            let mut blank = String::new();
            stdout.read_line(&mut blank).ok()?;
            assert_eq!(blank, "\r\n", "a blank line ends the headers");
            stdout.read_exact(&mut body).ok()?;
            Some(String::from_utf8(body).expect("messages are UTF-8"))
        }
    }
}

/// Parses a message; panics if it is not JSON, since nothing else may be on stdout.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("only messages may be on stdout, got `{text}`: {e}"))
}

/// A completion of the slow model that takes many seconds unless it is ended.
pub(crate) fn endless(prefix: &str) -> Value {
    json!({"prefix": prefix, "mode": "raw", "max_tokens": 8192, "logit_bias": {"65": 100}, "speculation": "off"})
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// The folder of a named model that `cargo xtask test` has fetched. Fails, and does not skip the test, if it is
/// missing.
pub(crate) fn named_model(name: &str) -> PathBuf {
    let output = runabout().args(["models", "path", name]).output().expect("the program runs");
    assert!(
        output.status.success(),
        "`{name}` is not installed: run `cargo xtask test`, or `runabout models pull {name}`\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).expect("a path in UTF-8").trim())
}
