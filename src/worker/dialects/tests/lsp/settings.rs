//! The settings, and how they reach the worker.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::ready;
use super::editor::Editor;

/// Answers the worker's request for the settings.
async fn answer_configuration(editor: &mut Editor, section: Value) {
    let asked = editor.peer.asked().await;
    assert_eq!(asked["method"], "workspace/configuration");
    assert_eq!(asked["params"], json!({"items": [{"section": "runabout"}]}));
    editor.peer.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": [section]})).await;
    // When this is answered, the worker has read the settings and its task has had its turn.
    editor.info().await;
}

#[tokio::test]
async fn settings_are_asked_for_if_the_client_can_be_asked() {
    let asks = json!({
        "capabilities": {"workspace": {"configuration": true}},
        "initializationOptions": {"settings": {"maxTokens": 7}},
    });
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, asks.clone()).await;
    assert_eq!(editor.info().await["settings"]["maxTokens"], 7, "until they are answered");
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, asks).await;
    answer_configuration(&mut editor, json!({"maxTokens": 9, "languages": {"rust": false}})).await;
    let settings = editor.info().await["settings"].clone();
    assert_eq!((&settings["maxTokens"], &settings["languages"]), (&json!(9), &json!({"rust": false})));
    editor.notify("workspace/didChangeConfiguration", json!({"settings": null})).await;
    answer_configuration(&mut editor, Value::Null).await;
    assert_eq!(editor.info().await["settings"]["maxTokens"], 7, "null is no settings of its own");
}

#[tokio::test]
async fn what_is_asked_before_the_settings_are_known_waits_for_them() {
    let asks = json!({"capabilities": {"workspace": {"configuration": true}}});
    let mut editor = Editor::with(&ready(ScriptedModel::saying("x")).await, asks).await;
    editor.open("let ").await;
    let typed = editor.type_at((0, 4)).await;
    answer_configuration(&mut editor, json!({"enabled": false})).await;
    assert_eq!(editor.answer(typed).await["result"], Value::Null);
    assert_eq!(editor.info().await["last"]["reason"], "disabled");
}

#[tokio::test]
async fn requests_that_wait_for_the_settings_keep_their_order() {
    let asks = json!({"capabilities": {"workspace": {"configuration": true}}});
    let app = ready(ScriptedModel::saying("x")).await;
    // Often enough that waking them in any order would be noticed.
    for _ in 0..8 {
        let mut editor = Editor::with(&app, asks.clone()).await;
        editor.open("let ").await;
        let mut asked = Vec::new();
        for _ in 0..6 {
            asked.push(editor.type_at((0, 4)).await);
        }
        answer_configuration(&mut editor, json!({"minConfidence": 0})).await;
        let newest = asked.pop().unwrap();
        assert_eq!(editor.answer(newest).await["result"]["items"][0]["insertText"], "x");
        for older in asked {
            assert_eq!(editor.answer(older).await["result"], Value::Null);
        }
    }
}

#[tokio::test]
async fn settings_may_be_the_options_themselves() {
    let given = json!({"initializationOptions": {"maxTokens": 7}});
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, given).await;
    assert_eq!(editor.info().await["settings"]["maxTokens"], 7);
}

#[tokio::test]
async fn changes_are_registered_for_if_the_client_wants_that() {
    let capabilities = json!({"workspace": {
        "configuration": true,
        "didChangeConfiguration": {"dynamicRegistration": true},
    }});
    let mut editor =
        Editor::with(&ready(ScriptedModel::hashing()).await, json!({"capabilities": capabilities})).await;
    let asked = editor.peer.asked().await;
    assert_eq!(asked["method"], "client/registerCapability");
    let registration = &asked["params"]["registrations"][0];
    assert_eq!(registration["method"], "workspace/didChangeConfiguration");
    assert_eq!(registration["registerOptions"], json!({"section": "runabout"}));
    editor.peer.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": null})).await;
    answer_configuration(&mut editor, json!({"alternatives": 1})).await;
    assert_eq!(editor.info().await["settings"]["alternatives"], 1);
}

#[tokio::test]
async fn other_clients_send_their_settings() {
    let given = json!({"initializationOptions": {"settings": {"enabled": false}}});
    let mut editor = Editor::with(&ready(ScriptedModel::saying("x")).await, given).await;
    editor.open("let ").await;
    assert_eq!(editor.suggested((0, 4)).await, Value::Null);
    assert!(editor.invoked((0, 4)).await.is_object(), "what the person asks for is answered always");
    let settings = json!({"settings": {"runabout": {"languages": {"*": false, "rust": true}}}});
    editor.notify("workspace/didChangeConfiguration", settings).await;
    assert!(editor.suggested((0, 4)).await.is_object());
    editor.notify("workspace/didChangeConfiguration", json!({"settings": {"other": {}}})).await;
    assert_eq!(editor.info().await["settings"]["languages"]["rust"], true, "not ours");
}

#[tokio::test]
async fn a_wrong_setting_is_warned_of_once() {
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, json!({})).await;
    for _ in 0..2 {
        let settings = json!({"settings": {"runabout": {"maxTokens": "many", "colour": 1}}});
        editor.notify("workspace/didChangeConfiguration", settings).await;
    }
    editor.info().await;
    let warnings: Vec<_> = editor.received.iter().map(|it| &it["params"]).collect();
    let message =
        "Runabout: the setting `maxTokens` must be a whole number between 1 and 8192; the default is used.";
    assert_eq!(warnings, [&json!({"type": 2, "message": message})]);
}

#[tokio::test]
async fn one_line_is_suggested_if_several_are_not_wanted() {
    for (multiline, text) in [("auto", "\n    x\n}"), ("never", "")] {
        let given = json!({"initializationOptions": {"settings": {"multiline": multiline}}});
        let mut editor = Editor::with(&ready(ScriptedModel::saying("\n    x\n}")).await, given).await;
        editor.open("fn f() {").await;
        let result = editor.suggested((0, 8)).await;
        assert_eq!(result["items"][0]["insertText"].as_str().unwrap_or_default(), text, "{multiline}");
    }
}
