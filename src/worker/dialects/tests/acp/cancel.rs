//! Cancelling a prompt in the ways that clients do, and the end of the connection.

use std::sync::Arc;

use runabout_engine::scripted::{Gate, ScriptedModel};
use serde_json::json;

use super::super::inside_a_step;
use super::super::peer::{loading, ready};
use super::editor::{Editor, link, text};
use crate::app::App;

/// An editor whose prompt is being answered, with the prompt's request and what holds the model.
async fn answering(app: &Arc<App>, gate: Gate) -> (Editor, String, u32, Gate) {
    let mut editor = Editor::with(app, json!({})).await;
    let session = editor.session().await;
    let id = editor.say(&session, json!([text("hi")])).await;
    let gate = inside_a_step(gate).await;
    gate.release();
    (editor, session, id, inside_a_step(gate).await)
}

#[tokio::test]
async fn a_cancelled_prompt_is_answered_with_what_there_is() {
    for way in ["session/cancel", "$/cancel_request", "$/cancelRequest", "session/close"] {
        let mut model = ScriptedModel::hashing();
        let gate = model.gate();
        let (mut editor, session, id, gate) = answering(&ready(model).await, gate).await;
        match way {
            "session/cancel" => editor.notify(way, json!({"sessionId": session})).await,
            "$/cancel_request" => editor.notify(way, json!({"requestId": id})).await,
            "session/close" => drop(editor.ask(way, json!({"sessionId": session})).await),
            _ => editor.notify(way, json!({"id": id})).await,
        }
        // By the answer to this, the cancel has been read.
        editor.request("session/list", json!({})).await;
        drop(gate);
        let answered = editor.answered(id).await;
        assert_eq!(answered.stop_reason(), "cancelled", "{way}");
        assert!(answered.text("agent_message_chunk").len() < 10, "{way}: it ends at the next step");
    }
}

#[tokio::test]
async fn a_session_answers_one_prompt_at_a_time() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let (mut editor, session, id, gate) = answering(&ready(model).await, gate).await;
    let second = editor.say(&session, json!([text("hurry")])).await;
    let refused = editor.answer(second).await;
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    editor.notify("session/cancel", json!({"sessionId": session})).await;
    editor.notify("session/cancel", json!({"sessionId": "another"})).await;
    drop(gate);
    assert_eq!(editor.answered(id).await.stop_reason(), "cancelled");
    // Cancelled too, since the model never ends by itself.
    let third = editor.say(&session, json!([text("and now?")])).await;
    editor.notify("session/cancel", json!({"sessionId": session})).await;
    assert_eq!(editor.answered(third).await.stop_reason(), "cancelled");
}

#[tokio::test]
async fn a_prompt_can_be_cancelled_while_the_model_loads() {
    let (app, _still_loading) = loading(ScriptedModel::hashing());
    let mut editor = Editor::with(&app, json!({})).await;
    let session = editor.session().await;
    let id = editor.say(&session, json!([text("hi")])).await;
    editor.notify("session/cancel", json!({"sessionId": session})).await;
    assert_eq!(editor.answered(id).await.stop_reason(), "cancelled");
}

#[tokio::test]
async fn what_the_client_was_asked_for_a_cancelled_prompt_is_taken_back() {
    let reads = json!({"fs": {"readTextFile": true}});
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, reads).await;
    let session = editor.session().await;
    let id = editor.say(&session, json!([text("see"), link("file:///code/a.rs")])).await;
    let asked = editor.peer.asked().await;
    assert_eq!(asked["method"], "fs/read_text_file");
    editor.notify("session/cancel", json!({"sessionId": session})).await;
    let answered = editor.answered(id).await;
    assert_eq!(answered.stop_reason(), "cancelled");
    let taken_back = editor.received.iter().find(|it| it["method"] == "$/cancel_request");
    assert_eq!(taken_back.unwrap()["params"], json!({"requestId": asked["id"]}));
}

#[tokio::test]
async fn work_ends_with_the_input() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let (mut editor, _, id, gate) = answering(&ready(model).await, gate).await;
    editor.peer.hang_up().await;
    drop(gate);
    assert_eq!(editor.answered(id).await.stop_reason(), "cancelled");
    assert!(editor.peer.rest().await.is_empty());
}
