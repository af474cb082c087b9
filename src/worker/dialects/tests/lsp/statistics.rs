//! Counts of what becomes of suggestions.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::ready;
use super::editor::{Editor, completing};

#[tokio::test]
async fn shown_and_accepted_suggestions_are_counted() {
    let mut editor = Editor::with(&ready(completing("let x = 1;")).await, json!({})).await;
    editor.open("let x").await;
    assert_eq!(editor.request("status", json!({})).await["result"]["suggestions"], Value::Null);
    let item = editor.suggested((0, 5)).await["items"][0].clone();
    editor.notify("textDocument/didShowCompletion", json!({"item": item})).await;
    let part = json!({"item": item, "acceptedLength": 2});
    editor.notify("textDocument/didPartiallyAcceptCompletion", part).await;
    editor.command("runabout.accept", item["command"]["arguments"].clone()).await;
    let counts = editor.command("runabout.statistics", json!([])).await;
    for (name, count) in [
        ("offered", 1),
        ("shown", 1),
        ("accepted", 1),
        ("partiallyAccepted", 1),
        ("dismissed", 0),
        ("acceptedCharacters", 5),
        ("retained", 0),
        ("retainedOf", 0),
    ] {
        assert_eq!(counts[name], count, "{name}");
    }
    assert!(counts["shownToAcceptMs"].is_u64());
    let status = editor.request("status", json!({})).await["result"].clone();
    let expected = json!({
        "offered": 1, "shown": 1, "accepted": 1, "partially_accepted": 1, "dismissed": 0, "accepted_characters": 5,
        "retained": 0, "retained_of": 0, "shown_to_accept_ms": counts["shownToAcceptMs"],
    });
    assert_eq!(status["suggestions"], expected);
    editor.command("runabout.resetStatistics", json!([])).await;
    assert_eq!(editor.command("runabout.statistics", json!([])).await["offered"], 0);
}

#[tokio::test]
async fn what_the_client_names_wrongly_is_no_failure() {
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, json!({})).await;
    for item in [json!({}), json!({"command": null}), json!({"command": {"arguments": ["x"]}}), Value::Null] {
        editor.notify("textDocument/didShowCompletion", json!({"item": item})).await;
    }
    assert_eq!(editor.command("runabout.reject", json!([99])).await, Value::Null);
    let params = json!({"command": "runabout.accept", "arguments": []});
    assert_eq!(editor.request("workspace/executeCommand", params).await["error"]["code"], -32602);
    let params = json!({"command": "runabout.fly"});
    assert_eq!(editor.request("workspace/executeCommand", params).await["error"]["code"], -32602);
    assert_eq!(editor.command("runabout.statistics", json!([])).await["offered"], 0);
}
