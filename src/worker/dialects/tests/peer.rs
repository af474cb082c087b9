//! Clients that are connected to a process with a scripted model by in-memory pipes.

use std::sync::Arc;
use std::time::Duration;

use runabout_assist::{Facts, LoadProgress, ModelHandle};
use runabout_engine::scripted::ScriptedModel;
use runabout_engine::{EngineOptions, LoadError, Models};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::{DIALECTS, Dialect};
use crate::app::App;
use crate::connection;
use crate::front_end::FrontEnd;
pub(super) use crate::scripted::loading;
use crate::scripted::of_model;

const PIPE_BYTES: usize = 1 << 20;
/// How long a test waits for a notification before it fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A process with this model.
pub(super) fn app(model: ScriptedModel) -> Arc<App> {
    loading(model).0
}

/// A process whose model is loaded already.
pub(super) async fn ready(model: ScriptedModel) -> Arc<App> {
    let app = app(model);
    app.model().ready().await.expect("the scripted model loads");
    app
}

/// What would read the facts and load the weights of a model that is not found.
type Read = fn() -> Result<Facts, LoadError>;
type Load = fn(&mut dyn FnMut(LoadProgress)) -> Result<Models, LoadError>;

/// A process whose model cannot be loaded.
pub(super) fn failing_to_load(cause: &'static str) -> Arc<App> {
    let model = ModelHandle::spawn(EngineOptions::default(), move |_| {
        let failed = LoadError::Failed { message: cause.to_owned() };
        Err::<(Read, Load), _>(failed)
    });
    of_model(model.unwrap())
}

/// A client of the process.
pub(super) struct Peer {
    to: WriteHalf<DuplexStream>,
    from: Lines<BufReader<ReadHalf<DuplexStream>>>,
    /// Answers that came while the test waited for another one.
    early: Vec<Value>,
}

impl Peer {
    /// A client that has sent nothing yet.
    pub(super) fn of(app: &Arc<App>) -> Self {
        Self::of_one_of(app, DIALECTS)
    }

    /// A client of a process with these dialects, that has sent nothing yet.
    pub(super) fn of_one_of(app: &Arc<App>, dialects: &'static [&'static dyn Dialect]) -> Self {
        Self::behind(FrontEnd::default(), app, dialects)
    }

    /// A client that has started this front end, and that has sent nothing yet.
    pub(super) fn behind(front: FrontEnd, app: &Arc<App>, dialects: &'static [&'static dyn Dialect]) -> Self {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let (input, output) = tokio::io::split(theirs);
        tokio::spawn(connection::connect(app, front, dialects).serve(input, output));
        let (from, to) = tokio::io::split(ours);
        Self { to, from: BufReader::new(from).lines(), early: Vec::new() }
    }

    /// A client that has begun to speak Telegraph.
    pub(super) async fn hailing(app: &Arc<App>) -> Self {
        let mut peer = Self::of(app);
        // The first message needs a version: it is read before the dialect is known, which does not require one.
        peer.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "hail"})).await;
        let (_, answer) = peer.answer(0).await;
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 0, "result": "telegraph"}));
        peer
    }

    pub(super) async fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string()).await;
    }

    /// Sends a line, which need not be a message.
    pub(super) async fn say_text(&mut self, text: &str) {
        self.to.write_all(format!("{text}\n").as_bytes()).await.unwrap();
    }

    /// The next message; `None` at the end.
    async fn read(&mut self) -> Option<Value> {
        let line = self.from.next_line().await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    pub(super) async fn next(&mut self) -> Value {
        self.read().await.expect("the connection goes on")
    }

    /// The requests and notifications that came before the answer to request `id`, and that answer.
    pub(super) async fn answer(&mut self, id: impl Into<Value>) -> (Vec<Value>, Value) {
        let id = id.into();
        let mut before = Vec::new();
        loop {
            if let Some(at) = self.early.iter().position(|it| it.get("id") == Some(&id)) {
                return (before, self.early.remove(at));
            }
            let message = self.next().await;
            if message.get("method").is_some() { before.push(message) } else { self.early.push(message) }
        }
    }

    /// The next answer, possibly to a batch.
    pub(super) async fn next_answer(&mut self) -> Value {
        loop {
            let message = self.next().await;
            if message.get("method").is_none() {
                return message;
            }
        }
    }

    /// The next request to this client.
    pub(super) async fn asked(&mut self) -> Value {
        loop {
            let message = self.next().await;
            assert!(message.get("method").is_some(), "it was answered without asking: {message}");
            if message.get("id").is_some() {
                return message;
            }
        }
    }

    /// The next notification of this method.
    pub(super) async fn told(&mut self, method: &str) -> Value {
        let told = async {
            loop {
                let message = self.next().await;
                if message["method"] == method {
                    return message;
                }
            }
        };
        timeout(TIMEOUT, told).await.unwrap_or_else(|_| panic!("no `{method}` came"))
    }

    /// Sends a `hail` and returns what [`answer`](Self::answer) does. By then the process has read all that was sent
    /// before.
    pub(super) async fn hail(&mut self, id: u32) -> (Vec<Value>, Value) {
        self.say(&json!({"id": id, "method": "hail"})).await;
        self.answer(id).await
    }

    /// As [`hail`](Self::hail), for a native client.
    pub(super) async fn status(&mut self, id: u32) -> (Vec<Value>, Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": "status", "params": {}})).await;
        self.answer(id).await
    }

    /// Closes the client's output.
    pub(super) async fn hang_up(&mut self) {
        self.to.shutdown().await.unwrap();
    }

    /// Closes the client's end, and returns everything that still comes.
    pub(super) async fn close(&mut self) -> Vec<Value> {
        self.hang_up().await;
        self.rest().await
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(message) = self.read().await {
            messages.push(message);
        }
        messages
    }
}
