//! An editor with a chat window as a client of the process: [`Editor`].

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::peer::Peer;
use crate::app::App;
use crate::dialects::ACP;
use crate::front_end::FrontEnd;

pub(super) const CWD: &str = "/code";

/// A client that speaks ACP.
pub(super) struct Editor {
    pub(super) peer: Peer,
    n_requests: u32,
    /// What the agent has sent in the meantime.
    pub(super) received: Vec<Value>,
}

/// What came of a prompt.
pub(super) struct Answered {
    pub(super) message: Value,
    pub(super) updates: Vec<Value>,
}

impl Editor {
    /// An editor that has said nothing yet.
    pub(super) fn of(app: &Arc<App>) -> Self {
        Self::behind(FrontEnd::default(), app)
    }

    /// An editor that has started this front end, and that has said nothing yet.
    fn behind(front: FrontEnd, app: &Arc<App>) -> Self {
        Self { peer: Peer::behind(front, app, ACP), n_requests: 0, received: Vec::new() }
    }

    /// An editor that has introduced itself, and whose conversations are kept in this folder.
    pub(super) async fn keeping(folder: &Path, app: &Arc<App>) -> Self {
        let front = FrontEnd { conversations: Some(folder.to_owned()), ..FrontEnd::default() };
        Self::behind(front, app).introduced(json!({})).await
    }

    /// An editor with these capabilities that has introduced itself.
    pub(super) async fn with(app: &Arc<App>, capabilities: Value) -> Self {
        Self::of(app).introduced(capabilities).await
    }

    async fn introduced(mut self, capabilities: Value) -> Self {
        let params = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
        self.request("initialize", params).await;
        self
    }

    /// Sends a request and returns its id.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> u32 {
        self.n_requests += 1;
        let id = self.n_requests;
        self.peer.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    pub(super) async fn notify(&mut self, method: &str, params: Value) {
        self.peer.say(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// The answer to the request `id`.
    pub(super) async fn answer(&mut self, id: u32) -> Value {
        let (before, answer) = self.peer.answer(id).await;
        self.received.extend(before);
        answer
    }

    pub(super) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(id).await
    }

    /// The identifier of a new session.
    pub(super) async fn session(&mut self) -> String {
        let answer = self.request("session/new", json!({"cwd": CWD, "mcpServers": []})).await;
        answer["result"]["sessionId"].as_str().unwrap().to_owned()
    }

    /// Sends a prompt and returns its request.
    pub(super) async fn say(&mut self, session: &str, blocks: Value) -> u32 {
        self.ask("session/prompt", json!({"sessionId": session, "prompt": blocks})).await
    }

    /// What comes of a prompt that was sent.
    pub(super) async fn answered(&mut self, id: u32) -> Answered {
        self.received.clear();
        let message = self.answer(id).await;
        let is_update = |it: &&Value| it["method"] == "session/update";
        let updates = self.received.iter().filter(is_update).map(|it| it["params"]["update"].clone());
        Answered { message, updates: updates.collect() }
    }

    /// Has the agent answer a message of text.
    pub(super) async fn tell(&mut self, session: &str, message: &str) -> Answered {
        let id = self.say(session, json!([text(message)])).await;
        self.answered(id).await
    }
}

impl Answered {
    pub(super) fn stop_reason(&self) -> &str {
        self.message["result"]["stopReason"].as_str().unwrap_or_else(|| panic!("no result: {}", self.message))
    }

    /// The joined texts of the updates of this kind.
    pub(super) fn text(&self, kind: &str) -> String {
        self.of_kind(kind).iter().filter_map(|it| it["content"]["text"].as_str()).collect()
    }

    pub(super) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.updates.iter().filter(|it| it["sessionUpdate"] == kind).collect()
    }
}

pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

pub(super) fn link(uri: &str) -> Value {
    json!({"type": "resource_link", "uri": uri, "name": uri.rsplit('/').next()})
}
