//! One worker process, its requests and its end. It knows nothing of restarts: a new process is a new worker.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jsonrpsee_core::client::async_client::RpcService;
use jsonrpsee_core::client::{Client as Rpc, ClientBuilder, ClientT, Error as RpcError};
use jsonrpsee_core::middleware::RpcServiceBuilder;
use jsonrpsee_core::traits::ToRpcParams;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::timeout;

use crate::call::{CALL, Call, Calls, Registering};
use crate::error::{Error, WorkerEnd};
use crate::protocol::{DeltaParams, ProgressParams, StatusParams};
use crate::transport::{Receiver, Sender};

const N_LOG_LINES: usize = 20;
/// How long a worker may take to end by itself; by the protocol it takes less than a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// jsonrpsee's client must have a limit; those of requests are kept by this crate.
const NO_LIMIT: Duration = Duration::from_hours(10 * 365 * 24);
const MAX_CONCURRENT: usize = 1024;
const TOO_LARGE: i64 = -32007;
/// What a message has beside the params and the method, at most.
const ENVELOPE_BYTES: u64 = 80;

/// What the worker tells without being asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notification {
    /// How far a long operation is.
    Progress(ProgressParams),
    /// The worker's state has changed.
    Status(Box<StatusParams>),
    /// One that was not known when this library was written.
    Other {
        /// Its method.
        method: String,
        /// Its params.
        params: Value,
    },
}

pub(crate) struct Worker {
    rpc: Rpc<Registering<RpcService>>,
    calls: Arc<Calls>,
    /// Lines for the worker; the empty one closes its input.
    lines: mpsc::UnboundedSender<String>,
    end: watch::Receiver<Option<WorkerEnd>>,
    kill: Arc<Notify>,
    has_served: Arc<AtomicBool>,
    is_closing: AtomicBool,
    max_message_bytes: AtomicU64,
    pub(crate) pid: u32,
}

struct Params(Box<RawValue>);

impl ToRpcParams for Params {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(Some(self.0))
    }
}

impl Worker {
    /// Starts a process, in a process group of its own: Ctrl-C ends this program, but not the worker, which ends by
    /// itself when its input does.
    pub(crate) fn start(
        mut command: Command,
        notifications: broadcast::Sender<Notification>,
    ) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|e| Error::Start(e.to_string()))?;
        let missing = || Error::Start("its pipes are missing".to_owned());
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let pid = child.id().ok_or_else(missing)?;

        let (lines, to_write) = mpsc::unbounded_channel();
        tokio::spawn(write(stdin, to_write));
        let (end_sender, end) = watch::channel(None);
        let kill = Arc::new(Notify::new());
        tokio::spawn(wait(child, stderr, Arc::clone(&kill), end_sender));

        let calls = Arc::new(Calls::default());
        let has_served = Arc::new(AtomicBool::new(false));
        let receiver = Receiver {
            stdout,
            calls: Arc::clone(&calls),
            notified: move |method, params| {
                // Perhaps nobody listens.
                let _ = notifications.send(notification(method, params));
            },
            has_served: Arc::clone(&has_served),
        };
        let registering = Arc::clone(&calls);
        let rpc = ClientBuilder::default()
            .request_timeout(NO_LIMIT)
            .max_concurrent_requests(MAX_CONCURRENT)
            .set_rpc_middleware(
                RpcServiceBuilder::new()
                    .layer_fn(move |inner| Registering { inner, calls: Arc::clone(&registering) }),
            )
            .build_with_tokio(Sender(lines.clone()), receiver);
        let max_message_bytes = AtomicU64::new(u64::MAX);
        let is_closing = AtomicBool::new(false);
        Ok(Self { rpc, calls, lines, end, kill, has_served, is_closing, max_message_bytes, pid })
    }

    pub(crate) fn set_max_message_bytes(&self, bytes: u64) {
        self.max_message_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether it has answered a request after that of the start.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// How the process has ended, if it has.
    pub(crate) fn end(&self) -> Option<WorkerEnd> {
        self.end.borrow().clone()
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&self) -> WorkerEnd {
        let mut end = self.end.clone();
        let end = end.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        end.unwrap_or(WorkerEnd { status: None, log: Vec::new() })
    }

    /// Sends a request and waits for its result. If this is dropped, the request is cancelled at the worker.
    pub(crate) async fn request(
        self: &Arc<Self>,
        method: &str,
        params: &impl serde::Serialize,
        deltas: Option<mpsc::UnboundedSender<DeltaParams>>,
        sent: Option<watch::Sender<Option<u64>>>,
    ) -> Result<Value, Error> {
        let params = to_raw_value(params).map_err(|e| Error::Form(e.to_string()))?;
        let n_bytes = (params.get().len() + method.len()) as u64 + ENVELOPE_BYTES;
        let max_frame_bytes = self.max_message_bytes.load(Ordering::Relaxed);
        if n_bytes > max_frame_bytes {
            // The worker could not tell whose message it was.
            let message = format!("the message has {n_bytes} bytes, which is too large");
            return Err(Error::failed(
                TOO_LARGE,
                &message,
                serde_json::json!({"max_frame_bytes": max_frame_bytes}),
            ));
        }
        let call = Arc::new(Call { id: OnceLock::new(), deltas, sent });
        let _given_up = Abandon { worker: Arc::clone(self), call: Arc::clone(&call) };
        match CALL.scope(call, self.rpc.request(method, Params(params))).await {
            Ok(result) => Ok(result),
            Err(RpcError::Call(error)) => {
                let data = error.data().and_then(|it| serde_json::from_str(it.get()).ok());
                Err(Error::failed(error.code().into(), error.message(), data.unwrap_or_default()))
            }
            Err(_) if self.is_closing.load(Ordering::Relaxed) => Err(Error::Closed),
            Err(_) => Err(Error::WorkerEnded(self.ended().await)),
        }
    }

    /// Ends the process and waits for it.
    pub(crate) async fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        // An empty line would not be a message.
        let _ = self.lines.send(String::new());
        if timeout(PATIENCE, self.ended()).await.is_err() {
            self.kill.notify_one();
            self.ended().await;
        }
    }
}

/// Cancels a call when it is dropped before it was answered.
struct Abandon {
    worker: Arc<Worker>,
    call: Arc<Call>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(id) = self.call.id.get().filter(|id| self.worker.calls.contains(**id)) {
            let cancel = serde_json::json!({"jsonrpc": "2.0", "method": "cancel", "params": {"id": id}});
            let _ = self.worker.lines.send(cancel.to_string());
        }
    }
}

fn notification(method: String, params: Value) -> Notification {
    let known = match method.as_str() {
        "progress" => serde_json::from_value(params.clone()).map(Notification::Progress).ok(),
        "status" => serde_json::from_value(params.clone()).map(|it| Notification::Status(Box::new(it))).ok(),
        _ => None,
    };
    known.unwrap_or(Notification::Other { method, params })
}

/// Writes lines until all senders are gone. Then the worker's input ends, and so does the worker.
async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(mut line) = lines.recv().await {
        if line.is_empty() {
            break;
        }
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
}

/// Reads the log, and waits for the end of the process.
async fn wait(
    mut child: Child,
    stderr: ChildStderr,
    kill: Arc<Notify>,
    end: watch::Sender<Option<WorkerEnd>>,
) {
    let log = tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).split(b'\n');
        let mut log = VecDeque::new();
        while let Ok(Some(line)) = lines.next_segment().await {
            if log.len() == N_LOG_LINES {
                log.pop_front();
            }
            log.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        log
    });
    let status = tokio::select! {
        status = child.wait() => status,
        () = kill.notified() => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let log = log.await.unwrap_or_default().into_iter().filter(|it| !it.is_empty()).collect();
    let _ = end.send(Some(WorkerEnd { status: status.ok(), log }));
}
