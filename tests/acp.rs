//! The worker as an agent, with a real model.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Framing, Worker, named_model, runabout};

/// An editor connected to `runabout acp`, which keeps its state in `home`.
fn editor(home: &Path) -> Worker {
    let mut program = runabout();
    program
        .args(["acp", "--model"])
        .arg(named_model("smollm2-135m"))
        .env("XDG_STATE_HOME", home)
        .env("HOME", home);
    let mut worker = Worker::spawn(program, Framing::Lines);
    let capabilities = json!({"fs": {"readTextFile": true}});
    let result =
        worker.call("initialize", &json!({"protocolVersion": 1, "clientCapabilities": capabilities}));
    assert_eq!((&result["protocolVersion"], &result["agentInfo"]["name"]), (&json!(1), &json!("runabout")));
    worker
}

/// The joined texts of the updates of this kind that are there.
fn text(worker: &mut Worker, kind: &str) -> String {
    let is_wanted = |it: &Value| it["params"]["update"]["sessionUpdate"] == kind;
    let updates = worker.take(is_wanted);
    updates.iter().filter_map(|it| it["params"]["update"]["content"]["text"].as_str()).collect()
}

/// Waits for the first text of an answer, then cancels it, and returns what was said. What the model says, and how much,
/// is drawn anew each time.
fn said_briefly(worker: &mut Worker, session: &Value, prompt: i64) -> String {
    let is_end = |it: &Value| it["id"] == prompt && it.get("method").is_none();
    let is_text = |it: &Value| it["params"]["update"]["sessionUpdate"] == "agent_message_chunk";
    let first = worker.wait_for("text or the end", |it| is_text(it) || is_end(it));
    if is_end(&first) {
        assert_eq!(first["result"]["stopReason"], "end_turn", "{first}");
        return String::new();
    }
    worker.notify("session/cancel", &json!({"sessionId": session}));
    let reason = worker.result(prompt)["stopReason"].clone();
    assert!(reason == "cancelled" || reason == "end_turn", "it may have been quicker: {reason}");
    let first = first["params"]["update"]["content"]["text"].as_str().unwrap().to_owned();
    first + &text(worker, "agent_message_chunk")
}

#[test]
fn a_conversation_about_a_file_is_continued_by_another_process() {
    let home = tempfile::tempdir().unwrap();
    let mut worker = editor(home.path());
    let setting = json!({"cwd": "/code", "mcpServers": []});
    let session = worker.call("session/new", &setting)["sessionId"].clone();
    let blocks = json!([
        {"type": "resource_link", "uri": "file:///code/notes.txt", "name": "notes.txt"},
        {"type": "text", "text": "Repeat this file."},
    ]);
    let prompt = worker.request("session/prompt", &json!({"sessionId": session, "prompt": blocks}));
    let asked = worker.wait_for("a question", |it| it["method"] == "fs/read_text_file");
    assert_eq!(asked["params"]["path"], "/code/notes.txt");
    let content = "The secret word is heron.\n";
    worker.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": content}}));
    let said = said_briefly(&mut worker, &session, prompt);
    worker.close_stdin();
    assert_eq!(worker.wait_for_exit().code(), Some(0));

    let mut worker = editor(home.path());
    let listed = worker.call("session/list", &json!({"cwd": "/code"}));
    assert_eq!(listed["sessions"][0]["sessionId"], session);
    worker.call("session/load", &json!({"sessionId": session, "cwd": "/code", "mcpServers": []}));
    assert_eq!(text(&mut worker, "agent_message_chunk"), said);
    let again = json!([{"type": "text", "text": "And again."}]);
    let prompt = worker.request("session/prompt", &json!({"sessionId": session, "prompt": again}));
    said_briefly(&mut worker, &session, prompt);
}
