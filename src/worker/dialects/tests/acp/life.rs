//! The connection: who is a client, what is agreed on, and what is told of failures.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::{Peer, failing_to_load, loading, ready};
use super::editor::Editor;

#[tokio::test]
async fn the_agent_introduces_itself_while_the_model_loads() {
    let (app, _still_loading) = loading(ScriptedModel::hashing());
    for version in [0, 1, 2] {
        let mut editor = Editor::of(&app);
        let answer = editor.request("initialize", json!({"protocolVersion": version})).await;
        let expected = json!({
            "protocolVersion": 1,
            "agentCapabilities": {
                "loadSession": true,
                "promptCapabilities": {"image": false, "audio": false, "embeddedContext": true},
                "mcpCapabilities": {"http": false, "sse": false},
                "sessionCapabilities": {"list": {}, "delete": {}, "resume": {}, "close": {}},
                "auth": {},
            },
            "authMethods": [],
            "agentInfo": {"name": "runabout", "title": "Runabout", "version": env!("CARGO_PKG_VERSION")},
        });
        assert_eq!(answer["result"], expected);
    }
}

#[tokio::test]
async fn the_first_message_tells_an_agents_client_from_others() {
    for (params, is_acp) in [
        (json!({"protocolVersion": 1, "clientCapabilities": {"fs": {"readTextFile": true}}}), true),
        (json!({"protocolVersion": 1}), true),
        (json!({"protocolVersion": "2025-11-25", "capabilities": {}}), false),
        (json!({"capabilities": {}}), false),
        (json!({"protocol_version": 1}), false),
    ] {
        let mut peer = Peer::of_one_of(&ready(ScriptedModel::hashing()).await, crate::dialects::ALL);
        peer.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).await;
        let (_, answer) = peer.answer(1).await;
        assert_eq!(answer["result"]["agentInfo"]["name"] == "runabout", is_acp, "{params}: {answer}");
    }
}

#[tokio::test]
async fn before_initialize_requests_are_refused() {
    let mut editor = Editor::of(&ready(ScriptedModel::hashing()).await);
    let params = json!({"cwd": "/code", "mcpServers": []});
    let refused = editor.request("session/new", params.clone()).await;
    assert_eq!(refused["error"]["message"], "the first request must be `initialize`");
    editor.request("initialize", json!({"protocolVersion": 1})).await;
    assert!(editor.request("session/new", params).await["result"].is_object());
    let again = editor.request("initialize", json!({"protocolVersion": 1})).await;
    assert_eq!(again["error"]["code"], -32600);
    let unknown = editor.request("session/set_mode", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601);
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_told_to_each_prompt() {
    let mut editor = Editor::with(&failing_to_load("no such file"), json!({})).await;
    let session = editor.session().await;
    for _ in 0..2 {
        let error = editor.tell(&session, "hi").await.message["error"].clone();
        assert_eq!(error, json!({"code": -32603, "message": "the model could not be loaded: no such file"}));
    }
}

#[tokio::test]
async fn loading_is_shown_to_who_waits_for_it() {
    let (app, still_loading) = loading(ScriptedModel::saying("Yes."));
    let mut editor = Editor::with(&app, json!({})).await;
    let session = editor.session().await;
    let prompt = editor.say(&session, json!([super::editor::text("hi")])).await;
    let shown = loop {
        let update = editor.peer.told("session/update").await["params"]["update"].clone();
        if update["sessionUpdate"] == "tool_call" {
            break update;
        }
    };
    assert_eq!((&shown["title"], &shown["status"]), (&json!("Loading scripted"), &json!("in_progress")));
    drop(still_loading);
    let answered = editor.answered(prompt).await;
    let ended: Vec<&Value> = answered.of_kind("tool_call_update");
    let last = ended.last().unwrap();
    assert_eq!((&last["toolCallId"], &last["status"]), (&shown["toolCallId"], &json!("completed")));
    assert_eq!(answered.text("agent_message_chunk"), "Yes.");
    let next = editor.tell(&session, "and now?").await;
    assert!(next.of_kind("tool_call").is_empty(), "it is ready");
}
