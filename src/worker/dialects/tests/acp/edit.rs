//! `/edit`: files are changed with the person's permission only.

use std::fs;
use std::path::Path;

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::ready;
use super::editor::{Answered, Editor, text};

const OLD: &str = "fn a() {}\n";
const NEW: &str = "fn b() {}\n";

/// An editor with these capabilities, a session in a folder of its own, and a model that answers with the new file.
async fn editor(capabilities: Value) -> (tempfile::TempDir, Editor, String) {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.rs"), OLD).unwrap();
    let model = ScriptedModel::saying(&format!("```rust\n{NEW}```"));
    let mut editor = Editor::with(&ready(model).await, capabilities).await;
    let setting = json!({"cwd": home.path(), "mcpServers": []});
    let session = editor.request("session/new", setting).await["result"]["sessionId"].clone();
    (home, editor, session.as_str().unwrap().to_owned())
}

fn files() -> Value {
    json!({"fs": {"readTextFile": true, "writeTextFile": true}})
}

/// Asks for a file to be changed, and returns the prompt's request.
async fn ask(editor: &mut Editor, session: &str, path: &Path) -> u32 {
    let link = json!({"type": "resource_link", "uri": format!("file://{}", path.display()), "name": "a.rs"});
    editor.say(session, json!([text("/edit rename a to b in"), link])).await
}

/// The next request to the editor, which must be of this method.
async fn asked(editor: &mut Editor, method: &str) -> Value {
    let asked = editor.peer.asked().await;
    assert_eq!(asked["method"], method, "{asked}");
    asked
}

async fn reply(editor: &mut Editor, asked: &Value, result: Value) {
    editor.peer.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result})).await;
}

/// Answers the next reading of the file, the next request for permission, and so on; returns what is written.
async fn permit(editor: &mut Editor, option: &str) -> Value {
    let asked = asked(editor, "session/request_permission").await;
    let options = asked["params"]["options"].as_array().unwrap();
    let chosen = options.iter().find(|it| it["kind"] == option).unwrap();
    let outcome = json!({"outcome": "selected", "optionId": chosen["optionId"]});
    reply(editor, &asked, json!({"outcome": outcome})).await;
    asked["params"]["toolCall"].clone()
}

fn last_status(answered: &Answered) -> Value {
    answered.of_kind("tool_call_update").last().unwrap()["status"].clone()
}

#[tokio::test]
async fn a_file_is_changed_through_the_editor_if_the_person_allows_it() {
    let (home, mut editor, session) = editor(files()).await;
    let path = home.path().join("a.rs");
    let id = ask(&mut editor, &session, &path).await;
    let read = asked(&mut editor, "fs/read_text_file").await;
    reply(&mut editor, &read, json!({"content": OLD})).await;
    let call = permit(&mut editor, "allow_once").await;
    let diff = json!({"type": "diff", "path": path, "oldText": OLD, "newText": NEW});
    assert_eq!((&call["kind"], &call["content"]), (&json!("edit"), &json!([diff])));
    let read = asked(&mut editor, "fs/read_text_file").await;
    reply(&mut editor, &read, json!({"content": OLD})).await;
    let written = asked(&mut editor, "fs/write_text_file").await;
    assert_eq!(written["params"], json!({"sessionId": session, "path": path, "content": NEW}));
    reply(&mut editor, &written, json!({})).await;
    let answered = editor.answered(id).await;
    assert_eq!(answered.stop_reason(), "end_turn");
    assert_eq!(answered.text("agent_message_chunk"), "`a.rs` is changed.");
    assert_eq!(last_status(&answered), "completed");
    assert_eq!(fs::read_to_string(path).unwrap(), OLD, "it is the editor that writes");
}

#[tokio::test]
async fn what_is_not_allowed_or_changed_meanwhile_is_not_written() {
    for (option, now, told) in [
        ("reject_once", OLD, "`a.rs` is not changed: you did not allow it."),
        ("allow_once", "fn c() {}\n", "`a.rs` is not changed: it was changed meanwhile."),
    ] {
        let (home, mut editor, session) = editor(files()).await;
        let id = ask(&mut editor, &session, &home.path().join("a.rs")).await;
        let read = asked(&mut editor, "fs/read_text_file").await;
        reply(&mut editor, &read, json!({"content": OLD})).await;
        permit(&mut editor, option).await;
        if option == "allow_once" {
            let read = asked(&mut editor, "fs/read_text_file").await;
            reply(&mut editor, &read, json!({"content": now})).await;
        }
        let answered = editor.answered(id).await;
        assert_eq!(answered.text("agent_message_chunk"), told);
        assert_eq!(last_status(&answered), "failed");
        assert!(editor.received.iter().all(|it| it["method"] != "fs/write_text_file"));
    }
}

#[tokio::test]
async fn an_editor_that_handles_no_files_is_asked_nevertheless() {
    for (option, text) in [("allow_once", NEW), ("reject_once", OLD)] {
        let (home, mut editor, session) = editor(json!({})).await;
        let path = home.path().join("a.rs");
        let id = ask(&mut editor, &session, &path).await;
        permit(&mut editor, option).await;
        assert_eq!(editor.answered(id).await.stop_reason(), "end_turn");
        assert_eq!(fs::read_to_string(path).unwrap(), text);
    }
}

#[tokio::test]
async fn nothing_outside_the_sessions_folder_is_changed() {
    let (home, mut editor, session) = editor(json!({})).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("a.rs");
    fs::write(&path, OLD).unwrap();
    std::os::unix::fs::symlink(&path, home.path().join("link.rs")).unwrap();
    for path in [path, home.path().join("link.rs"), home.path().join("gone.rs"), home.path().join("../a.rs")]
    {
        let id = ask(&mut editor, &session, &path).await;
        let answered = editor.answered(id).await;
        let told = answered.text("agent_message_chunk");
        assert!(told.contains("cannot be changed: it "), "{}: {told}", path.display());
        assert_eq!(last_status(&answered), "failed");
    }
}

#[tokio::test]
async fn a_change_that_is_cancelled_is_not_written() {
    let (home, mut editor, session) = editor(json!({})).await;
    let path = home.path().join("a.rs");
    let id = ask(&mut editor, &session, &path).await;
    let question = asked(&mut editor, "session/request_permission").await;
    editor.notify("session/cancel", json!({"sessionId": session})).await;
    let answered = editor.answered(id).await;
    assert_eq!(answered.stop_reason(), "cancelled");
    let taken_back = editor.received.iter().find(|it| it["method"] == "$/cancel_request");
    assert_eq!(taken_back.unwrap()["params"], json!({"requestId": question["id"]}));
    assert_eq!(fs::read_to_string(path).unwrap(), OLD);
}

#[tokio::test]
async fn the_files_of_an_earlier_message_are_meant_if_there_are_no_others() {
    let (home, mut editor, session) = editor(json!({})).await;
    let nothing = editor.tell(&session, "/edit rename a to b").await;
    assert!(nothing.text("agent_message_chunk").contains("point at the files"));
    let path = home.path().join("a.rs");
    let uri = format!("file://{}", path.display());
    let resource = json!({"type": "resource", "resource": {"uri": uri, "text": OLD}});
    let id = editor.say(&session, json!([text("what is this?"), resource])).await;
    editor.answered(id).await;
    let id = editor.say(&session, json!([text("/edit rename a to b")])).await;
    permit(&mut editor, "allow_once").await;
    assert_eq!(editor.answered(id).await.text("agent_message_chunk"), "`a.rs` is changed.");
    assert_eq!(fs::read_to_string(path).unwrap(), NEW);
}
