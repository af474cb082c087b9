//! The connection from `initialize` to `exit`.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::{Peer, failing_to_load, loading, ready};
use super::editor::Editor;

#[tokio::test]
async fn the_worker_introduces_itself_while_the_model_loads() {
    let (app, _still_loading) = loading(ScriptedModel::hashing());
    let mut editor = Editor::of(&app);
    let result = editor.initialize(json!({})).await;
    let capabilities = &result["capabilities"];
    assert_eq!(result["serverInfo"]["name"], "runabout");
    assert_eq!(capabilities["positionEncoding"], "utf-16");
    assert_eq!(capabilities["textDocumentSync"], json!({"openClose": true, "change": 2, "save": true}));
    assert_eq!(capabilities["inlineCompletionProvider"], true);
    assert_eq!(capabilities["executeCommandProvider"]["commands"][0], "runabout.accept");
    assert_eq!(capabilities["workspace"]["workspaceFolders"]["supported"], true);
    let ours = json!({"protocolVersion": 1, "model": "scripted", "state": "loading"});
    assert_eq!(capabilities["experimental"]["runabout"], ours);
}

#[tokio::test]
async fn utf_8_is_chosen_if_it_is_offered() {
    for (offered, chosen) in
        [(json!(["utf-16", "utf-8"]), "utf-8"), (json!(["utf-32"]), "utf-16"), (Value::Null, "utf-16")]
    {
        let mut editor = Editor::of(&ready(ScriptedModel::hashing()).await);
        let params = json!({"capabilities": {"general": {"positionEncodings": offered}}});
        assert_eq!(editor.initialize(params).await["capabilities"]["positionEncoding"], chosen);
    }
}

#[tokio::test]
async fn the_first_message_tells_an_editor_from_a_native_client() {
    for (params, is_lsp) in [
        (json!({"capabilities": {}, "processId": null}), true),
        (json!({"capabilities": {}, "protocol_version": 1}), false),
        (json!({"capabilities": {}, "protocolVersion": "2025-11-25"}), false),
        (json!({}), false),
    ] {
        let mut peer = Peer::of(&ready(ScriptedModel::hashing()).await);
        peer.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).await;
        let (_, answer) = peer.answer(1).await;
        assert_eq!(
            answer["result"]["capabilities"]["positionEncoding"] == "utf-16",
            is_lsp,
            "{params}: {answer}"
        );
    }
}

#[tokio::test]
async fn before_initialize_and_after_shutdown_requests_are_refused() {
    let mut editor = Editor::only(&ready(ScriptedModel::saying(" = 1;")).await);
    editor.open("let x").await;
    let params = super::editor::inline((0, 5), 2);
    let answer = editor.request("textDocument/inlineCompletion", params.clone()).await;
    assert_eq!(answer["error"]["code"], -32002);
    assert_eq!(editor.request("status", json!({})).await["error"]["code"], -32002);
    editor.initialize(json!({})).await;
    let answer = editor.request("initialize", json!({"capabilities": {}})).await;
    assert_eq!(answer["error"]["code"], -32600, "it is sent once");
    assert_eq!(editor.suggested((0, 5)).await, Value::Null, "the document was opened too early");
    assert_eq!(editor.request("shutdown", Value::Null).await["result"], Value::Null);
    assert_eq!(editor.request("textDocument/inlineCompletion", params).await["error"]["code"], -32600);
    editor.notify("exit", Value::Null).await;
    assert!(editor.peer.rest().await.is_empty());
}

#[tokio::test]
async fn an_editor_may_exit_before_it_has_introduced_itself() {
    let mut editor = Editor::only(&ready(ScriptedModel::hashing()).await);
    editor.notify("exit", Value::Null).await;
    assert!(editor.peer.rest().await.is_empty());
}

#[tokio::test]
async fn native_methods_are_available_beside_those_of_lsp() {
    let mut editor = Editor::curious(&ready(ScriptedModel::saying(" = 1;")).await).await;
    assert_eq!(editor.request("status", json!({})).await["result"]["state"], "ready");
    let params = json!({"prefix": "let x", "mode": "raw", "stream": true});
    let answer = editor.request("complete", params).await;
    assert_eq!(answer["result"]["text"], " = 1;");
    let deltas = editor.received.iter().filter(|it| it["method"] == "delta");
    let text: String = deltas.map(|it| it["params"]["text"].as_str().unwrap()).collect();
    assert_eq!(text, " = 1;");
    let wrong = editor.request("complete", json!({"prefix": "x", "max_token": 3})).await;
    assert_eq!(wrong["error"]["code"], -32602, "native params are read strictly");
    assert!(editor.request("rpc.discover", json!({})).await["result"]["openrpc"].is_string());
}

#[tokio::test]
async fn nothing_is_announced_before_initialized() {
    let app = failing_to_load("no such file");
    app.model().engine().stopped().await;
    let mut editor = Editor::of(&app);
    editor.initialize(json!({"initializationOptions": {"notifications": true}})).await;
    editor.request("status", json!({})).await;
    assert!(editor.received.is_empty(), "{:?}", editor.received);
    editor.notify("initialized", json!({})).await;
    let status = editor.peer.told("runabout/status").await;
    assert_eq!(
        status["params"],
        json!({"state": "failed", "model": "scripted", "message": "The model could not be loaded: no such file"})
    );
}

#[tokio::test]
async fn a_client_that_wants_notifications_sees_the_model_become_ready() {
    let (app, still_loading) = loading(ScriptedModel::hashing());
    let mut editor = Editor::curious(&app).await;
    let status = editor.peer.told("runabout/status").await;
    assert_eq!(status["params"], json!({"state": "loading", "model": "scripted"}));
    drop(still_loading);
    let status = editor.peer.told("runabout/status").await;
    assert_eq!(status["params"], json!({"state": "ready", "model": "scripted"}));
}

#[tokio::test]
async fn other_clients_get_no_notifications_that_they_do_not_know() {
    let mut editor = Editor::with(&ready(ScriptedModel::saying(" = 1;")).await, json!({})).await;
    editor.open("let x").await;
    assert!(editor.suggested((0, 5)).await.is_object());
    assert!(editor.received.is_empty(), "{:?}", editor.received);
}

#[tokio::test]
async fn loading_is_shown_as_progress_if_the_client_can() {
    let (app, still_loading) = loading(ScriptedModel::hashing());
    let shows = json!({"capabilities": {"window": {"workDoneProgress": true}}});
    let mut editor = Editor::with(&app, shows).await;
    let created = editor.peer.asked().await;
    assert_eq!(created["method"], "window/workDoneProgress/create");
    let token = created["params"]["token"].clone();
    editor.peer.say(&json!({"jsonrpc": "2.0", "id": created["id"], "result": null})).await;
    let begun = editor.peer.told("$/progress").await;
    assert_eq!((&begun["params"]["token"], &begun["params"]["value"]["kind"]), (&token, &json!("begin")));
    drop(still_loading);
    loop {
        let progress = editor.peer.told("$/progress").await["params"]["value"].clone();
        if progress["kind"] == "end" {
            assert_eq!(progress["message"], "ready");
            return;
        }
        assert_eq!(progress["kind"], "report");
    }
}

#[tokio::test]
async fn a_client_that_refuses_progress_is_left_alone() {
    let (app, still_loading) = loading(ScriptedModel::hashing());
    let shows = json!({"capabilities": {"window": {"workDoneProgress": true}}});
    let mut editor = Editor::with(&app, shows).await;
    let created = editor.peer.asked().await;
    let refused = json!({"code": -32601, "message": "no"});
    editor.peer.say(&json!({"jsonrpc": "2.0", "id": created["id"], "error": refused})).await;
    drop(still_loading);
    app.model().ready().await.unwrap();
    editor.request("status", json!({})).await;
    assert!(editor.received.is_empty(), "{:?}", editor.received);
}
