//! Files that a person points at.

use runabout_engine::scripted::{ScriptedModel, bytes};
use serde_json::json;

use super::super::peer::ready;
use super::editor::{Editor, link, text};

#[tokio::test]
async fn linked_files_are_read_through_the_client() {
    let model = ScriptedModel::saying("Yes.");
    let recording = model.recording();
    let reads = json!({"fs": {"readTextFile": true}});
    let mut editor = Editor::with(&ready(model).await, reads).await;
    let session = editor.session().await;
    let blocks = json!([text("See"), link("file:///code/a%20b.rs"), link("file:///code/gone.rs")]);
    let id = editor.say(&session, blocks).await;
    let asked = editor.peer.asked().await;
    assert_eq!(asked["params"], json!({"sessionId": session, "path": "/code/a b.rs"}));
    editor
        .peer
        .say(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": "not saved yet"}}))
        .await;
    let asked = editor.peer.asked().await;
    let error = json!({"code": -32002, "message": "it is gone"});
    editor.peer.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error})).await;
    let answered = editor.answered(id).await;
    assert_eq!(answered.stop_reason(), "end_turn");
    // What came before the last question is gone.
    let step = answered.of_kind("tool_call_update")[0];
    assert_eq!(
        (&step["status"], &step["content"][0]["content"]["text"]),
        (&json!("failed"), &json!("it is gone"))
    );
    let fed: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    let expected = bytes(
        "`a b.rs`:\n```\nnot saved yet\n```\n\n`gone.rs` cannot be read: it is gone\n\nSee `a b.rs` `gone.rs`",
    );
    assert!(fed.windows(expected.len()).any(|it| it == expected));
}

#[tokio::test]
async fn an_editor_that_reads_no_files_has_them_read_in_the_sessions_folder_only() {
    let home = tempfile::tempdir().unwrap();
    let (inside, outside) = (home.path().join("project"), home.path().join("notes.txt"));
    std::fs::create_dir(&inside).unwrap();
    for (path, text) in [
        (inside.join("a.rs"), "in the project"),
        (inside.join(".env"), "a secret"),
        (outside.clone(), "out of it"),
    ] {
        std::fs::write(path, text).unwrap();
    }
    let model = ScriptedModel::saying("Yes.");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    let setting = json!({"cwd": inside, "mcpServers": []});
    let session = editor.request("session/new", setting).await["result"]["sessionId"].clone();
    let uri = |path: std::path::PathBuf| link(&format!("file://{}", path.display()));
    let blocks = json!([uri(inside.join("a.rs")), uri(inside.join(".env")), uri(outside), text("well?")]);
    let id = editor.say(session.as_str().unwrap(), blocks).await;
    let answered = editor.answered(id).await;
    let steps = answered.of_kind("tool_call_update");
    let states: Vec<&str> = steps.iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["completed", "failed", "failed"]);
    let fed: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    let is_fed = |text: &str| fed.windows(text.len()).any(|it| it == bytes(text));
    assert!(is_fed("in the project") && !is_fed("a secret") && !is_fed("out of it"));
}
