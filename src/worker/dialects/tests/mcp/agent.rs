//! An agent as a client of the process: [`Agent`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::peer::Peer;
use crate::app::App;
use crate::dialects::MCP;

/// A client that speaks MCP.
pub(super) struct Agent {
    pub(super) peer: Peer,
    n_requests: u32,
    /// The notifications that came before the latest answer.
    pub(super) told: Vec<Value>,
}

impl Agent {
    /// An agent that has said nothing yet.
    pub(super) fn of(app: &Arc<App>) -> Self {
        Self { peer: Peer::of_one_of(app, MCP), n_requests: 0, told: Vec::new() }
    }

    pub(super) async fn notify(&mut self, method: &str, params: Value) {
        self.peer.say(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// Sends a request and returns its id.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> u32 {
        self.n_requests += 1;
        let id = self.n_requests;
        self.peer.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    pub(super) async fn answer(&mut self, id: u32) -> Value {
        let (told, answer) = self.peer.answer(id).await;
        self.told = told;
        answer
    }

    /// Sends a request and returns the whole answer.
    pub(super) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(id).await
    }

    /// Sends a request that must succeed.
    pub(super) async fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params).await;
        assert!(answer["result"].is_object(), "expected a result, got {answer}");
        answer["result"].clone()
    }

    /// Begins to call a tool, and returns the request's id.
    pub(super) async fn begin(&mut self, tool: &str, arguments: Value) -> u32 {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls a tool.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.result("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls a tool, and returns the message with which it must fail.
    pub(super) async fn failure(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!((&result["isError"], result.get("structuredContent")), (&json!(true), None), "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

/// The `_meta` of a request of revision 2026-07-28.
pub(super) fn modern() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}
