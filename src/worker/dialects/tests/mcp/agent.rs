//! An agent as a client of the process: [`Agent`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::peer::Peer;
use crate::app::App;
use crate::dialects::MCP;
use crate::front_end::FrontEnd;

/// A client that speaks MCP.
pub(super) struct Agent {
    pub(super) peer: Peer,
    n_requests: u32,
    /// The notifications that came before the latest answer.
    pub(super) told: Vec<Value>,
    /// The tools' definitions, once they are needed.
    tools: Value,
}

impl Agent {
    /// An agent that has said nothing yet.
    pub(super) fn of(app: &Arc<App>) -> Self {
        Self::behind(FrontEnd::default(), app)
    }

    /// An agent that has started this front end, and that has said nothing yet.
    pub(super) fn behind(front: FrontEnd, app: &Arc<App>) -> Self {
        Self { peer: Peer::behind(front, app, MCP), n_requests: 0, told: Vec::new(), tools: Value::Null }
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

    /// Calls a tool. Unless it fails, its output must conform to its schema.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let mut told = Vec::new();
        if self.tools.is_null() {
            self.tools = self.result("tools/list", json!({})).await["tools"].clone();
            told.append(&mut self.told);
        }
        let result = self.result("tools/call", json!({"name": tool, "arguments": arguments})).await;
        self.told.splice(0..0, told);
        if result["isError"] == false {
            let known = self.tools.as_array().unwrap().iter().find(|it| it["name"] == tool).unwrap();
            check(&known["outputSchema"], &result["structuredContent"], tool);
        }
        result
    }

    /// Calls a tool, and returns the message with which it must fail.
    pub(super) async fn failure(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!((&result["isError"], result.get("structuredContent")), (&json!(true), None), "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

/// Checks a value against the parts of JSON Schema that the tools use, and that it has no members beyond the schema.
fn check(schema: &Value, value: &Value, place: &str) {
    let is_right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some(kind) => panic!("{place} has the unknown type {kind}"),
        // Any value.
        None => return,
    };
    assert!(is_right, "{place} is {value}, which is not {}", schema["type"]);
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{place} lacks {name}: {value}");
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{place} is {value}, which is none of {values:?}");
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name).unwrap_or_else(|| panic!("{place} has an unknown {name}"));
        check(known, member, &format!("{place}.{name}"));
    }
    for entry in value.as_array().into_iter().flatten() {
        check(&schema["items"], entry, &format!("{place}[]"));
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
