//! Tests of a whole connection over a pipe in memory.
//!
//! [`Peer`] is a client that works with bytes. Most of these tests use paused clocks: when all tasks wait, time jumps
//! to the next deadline, so a hang fails immediately and a grace period takes no real time.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::FramedRead;

use crate::framing::{Frame, FrameDecoder, Framing};
use crate::*;

mod back_pressure;
mod choosing;
mod connections;
mod life_cycle;
mod order;
mod properties;
mod requests;
mod spec;
mod traps;
mod withdrawal;

/// Longer than any grace period; on a paused clock it passes at once.
const TIMEOUT: Duration = Duration::from_mins(1);
const PIPE_BYTES: usize = 256 * 1024;

struct Peer {
    framing: Framing,
    /// `None` once closed.
    to: Option<DuplexStream>,
    from: FramedRead<DuplexStream, FrameDecoder>,
    handle: Handle,
    serving: JoinHandle<End>,
}

impl Peer {
    fn new(methods: impl Into<Methods>, framing: Framing) -> Self {
        Self::with(methods, Notifications::new(), Options::default(), framing, PIPE_BYTES)
    }

    fn with(
        methods: impl Into<Methods>,
        notifications: Notifications,
        options: Options,
        framing: Framing,
        pipe_bytes: usize,
    ) -> Self {
        let protocol = Protocol { methods: methods.into(), notifications, ..Protocol::default() };
        Self::over(Connection::new(protocol, options), framing, pipe_bytes)
    }

    /// Talks to `connection`, whose output goes through a pipe of this size.
    fn over(connection: Connection, framing: Framing, pipe_bytes: usize) -> Self {
        let handle = connection.handle();
        let (to, input) = tokio::io::duplex(PIPE_BYTES);
        let (output, from) = tokio::io::duplex(pipe_bytes);
        let serving = tokio::spawn(connection.serve(input, output));
        let from = FramedRead::new(from, FrameDecoder::new(usize::MAX));
        Self { framing, to: Some(to), from, handle, serving }
    }

    /// Sends one message.
    async fn say(&mut self, message: impl AsRef<str>) {
        let mut bytes = BytesMut::new();
        self.framing.encode(message.as_ref(), &mut bytes);
        self.send(&bytes).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.to.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    async fn call(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params});
        self.say(message.to_string()).await;
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await;
    }

    /// The next message as written; `None` at the end of the output.
    async fn next_text(&mut self) -> Option<String> {
        use futures_util::StreamExt;
        let frame =
            timeout(TIMEOUT, self.from.next()).await.expect("a message from the connection in time")?;
        let Frame::Message(bytes) = frame.unwrap() else { panic!("output is not well framed") };
        assert_eq!(self.from.decoder().framing(), Some(self.framing), "answered in the client's framing");
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn next(&mut self) -> Value {
        let text = self.next_text().await.expect("output has ended");
        serde_json::from_str(&text).expect("output is JSON")
    }

    fn close_input(&mut self) {
        self.to = None;
    }

    /// Closes the input, and returns all remaining messages.
    async fn rest(&mut self) -> Vec<Value> {
        self.close_input();
        let mut messages = Vec::new();
        while let Some(text) = self.next_text().await {
            messages.push(serde_json::from_str(&text).expect("output is JSON"));
        }
        messages
    }

    async fn end(self) -> End {
        timeout(TIMEOUT, self.serving).await.expect("serve does not return").unwrap()
    }
}

fn context(extensions: &Extensions) -> RequestContext {
    RequestContext::of(extensions)
}

/// Methods that behave in the ways that matter to a connection.
fn behaviours() -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module
        .register_method("echo", |params, (), _| {
            serde_json::from_str::<Value>(params.as_str().unwrap_or("null")).unwrap()
        })
        .unwrap();
    module.register_method("nothing", |_, (), _| ()).unwrap();
    module
        .register_method("fail", |_, (), _| {
            Err::<(), _>(ErrorObject::owned(1234, "as asked", Some(json!({"a": 1}))))
        })
        .unwrap();
    module.register_method("panic", |_, (), _| -> u32 { panic!("as asked") }).unwrap();
    module
        .register_async_method("panic_later", |_, _, _| async {
            tokio::task::yield_now().await;
            serde_json::from_str::<u32>("as asked").unwrap()
        })
        .unwrap();
    // Sends three notifications, then the answer.
    module
        .register_async_method("stream", |_, _, extensions| async move {
            let context = context(&extensions);
            for seq in 0..3 {
                context.notify("piece", &json!({"id": context.id(), "seq": seq})).await.unwrap();
                tokio::task::yield_now().await;
            }
            "done"
        })
        .unwrap();
    // Ends when it is cancelled, and says what cancelled it.
    module
        .register_async_method("wait", |_, _, extensions| async move {
            let context = context(&extensions);
            context.note(7_u32);
            context.notify("waiting", &json!({"id": context.id()})).await.unwrap();
            match context.cancelled().await {
                CancelledBy::CancelRequest => {
                    Err(ErrorObject::owned(-32800, "cancelled", Some(json!({"partial": "so far"}))))
                }
                by => Ok(format!("{by:?}")),
            }
        })
        .unwrap();
    // Never ends, not even when cancelled.
    module.register_async_method("hang", |_, _, _| std::future::pending::<()>()).unwrap();
    // Cancels a request from within the program.
    module
        .register_async_method("cancel", |params, _, extensions| async move {
            #[derive(serde::Deserialize)]
            struct CancelParams {
                id: Box<serde_json::value::RawValue>,
            }
            let CancelParams { id } = params::parse(&params)?;
            let id = RequestId::from_raw(&id).ok_or_else(|| params::invalid("id", "no id"))?;
            let (outcome, record) =
                match context(&extensions).connection().in_flight().cancel(&id, CancelledBy::Program) {
                    Lookup::Running(record) => ("cancelled", Some(record)),
                    Lookup::Finished(record) => ("finished", Some(record)),
                    Lookup::Unknown => ("unknown", None),
                };
            let mut note = None;
            if let Some(record) = record {
                record.ended().await;
                note = record.note::<u32>();
            }
            Ok::<_, ErrorObjectOwned>(json!([outcome, note]))
        })
        .unwrap();
    module
}

const BOTH: [Framing; 2] = [Framing::Lines, Framing::Headers];
