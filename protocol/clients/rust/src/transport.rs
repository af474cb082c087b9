//! The two halves of the connection, as jsonrpsee's client wants them.
//!
//! That client gives up at the first message that it does not expect, so it gets only answers to its requests, with the
//! members that it knows: the rest is passed on here, or left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonrpsee_core::client::{ReceivedMessage, TransportReceiverT, TransportSenderT};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::mpsc;

use crate::call::Calls;

/// The connection is at its end.
#[derive(Debug, thiserror::Error)]
#[error("the worker has ended")]
pub(crate) struct Ended;

/// Sends lines to the task that writes them.
pub(crate) struct Sender(pub(crate) mpsc::UnboundedSender<String>);

impl TransportSenderT for Sender {
    type Error = Ended;

    async fn send(&mut self, message: String) -> Result<(), Ended> {
        self.0.send(message).map_err(|_| Ended)
    }
}

/// Reads the worker's messages.
pub(crate) struct Receiver<F> {
    pub(crate) stdout: BufReader<ChildStdout>,
    pub(crate) calls: Arc<Calls>,
    /// Told of every notification but the deltas.
    pub(crate) notified: F,
    /// Set when a request has a result, except for the first one, that of the start.
    pub(crate) has_served: Arc<AtomicBool>,
}

#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    id: Value,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    result: Option<Box<RawValue>>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize, Serialize)]
struct ErrorObject {
    code: i32,
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    data: Value,
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorObject>,
}

impl<F: Fn(String, Value) + Send + 'static> TransportReceiverT for Receiver<F> {
    type Error = Ended;

    async fn receive(&mut self) -> Result<ReceivedMessage, Ended> {
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.stdout.read_until(b'\n', &mut line).await {
                Ok(n) if n > 0 => {}
                _ => return Err(Ended),
            }
            // A line that is no message was not written by the worker, but by a library that it uses.
            let Ok(message) = serde_json::from_slice::<Incoming>(&line) else { continue };
            if let Some(answer) = self.take(message) {
                return Ok(ReceivedMessage::Text(answer));
            }
        }
    }
}

impl<F: Fn(String, Value)> Receiver<F> {
    /// An answer to one of the requests; everything else is dealt with.
    fn take(&self, message: Incoming) -> Option<String> {
        match message.method {
            Some(method) if method == "delta" => {
                if let Ok(delta) = serde_json::from_value(message.params) {
                    self.calls.tell(delta);
                }
                None
            }
            Some(method) => {
                (self.notified)(method, message.params);
                None
            }
            None => {
                let id = message.id.as_u64()?;
                if !self.calls.remove(id) {
                    return None;
                }
                if message.error.is_none() && id > 0 {
                    self.has_served.store(true, Ordering::Relaxed);
                }
                let null = RawValue::NULL.to_owned();
                let result = message.error.is_none().then(|| message.result.as_deref().unwrap_or(&null));
                let answer = Answer { jsonrpc: "2.0", id, result, error: message.error.as_ref() };
                serde_json::to_string(&answer).ok()
            }
        }
    }
}
