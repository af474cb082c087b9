//! What comes of a prompt: text, thoughts, usage, and what does not fit.

use runabout_engine::scripted::{END, ScriptedModel, bytes};
use serde_json::json;

use super::super::peer::ready;
use super::editor::{Editor, link, text};

/// A model that answers with how many messages of the person it sees.
fn counting() -> ScriptedModel {
    let mark = bytes("user\n");
    ScriptedModel::new(move |held, n_generated| {
        let n_seen = held.windows(mark.len()).filter(|it| *it == mark).count();
        bytes(&format!("I see {n_seen}.")).get(n_generated).copied().unwrap_or(END)
    })
}

#[tokio::test]
async fn an_answer_arrives_in_pieces_with_what_it_took() {
    let mut editor = Editor::with(&ready(ScriptedModel::saying("Yes, it is.")).await, json!({})).await;
    let session = editor.session().await;
    let answered = editor.tell(&session, "Is it?").await;
    assert_eq!(answered.stop_reason(), "end_turn");
    assert_eq!(answered.text("agent_message_chunk"), "Yes, it is.");
    assert_eq!(answered.text("agent_thought_chunk"), "");
    let pieces = answered.of_kind("agent_message_chunk");
    assert!(pieces.len() > 1 && pieces.iter().all(|it| it["messageId"] == pieces[0]["messageId"]));
    let usage = answered.of_kind("usage_update");
    let used = usage[0]["used"].as_u64().unwrap();
    assert_eq!(usage[0]["size"], 4096);
    assert!((17..100).contains(&used), "{used}");
    assert_eq!(answered.of_kind("session_info_update")[0]["title"], "Is it?");
}

#[tokio::test]
async fn thoughts_are_told_apart_from_the_answer_and_not_repeated_to_the_model() {
    let model = ScriptedModel::saying("<think>\nhm\n</think>\n\nYes.");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    let session = editor.session().await;
    let answered = editor.tell(&session, "Is it?").await;
    assert_eq!(answered.text("agent_thought_chunk"), "hm");
    assert_eq!(answered.text("agent_message_chunk"), "Yes.");
    editor.tell(&session, "Sure?").await;
    let fed: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    let conversation = bytes("Yes.");
    let asked = bytes("user\nSure?");
    let at = fed.windows(asked.len()).position(|it| it == asked).unwrap();
    assert!(
        fed[..at].windows(conversation.len()).any(|it| it == conversation),
        "the answer is in the prompt"
    );
}

#[tokio::test]
async fn the_model_sees_what_was_said_before_until_it_is_to_forget_it() {
    let mut editor = Editor::with(&ready(counting()).await, json!({})).await;
    let session = editor.session().await;
    for n_seen in [1, 2, 3] {
        let answered = editor.tell(&session, "how many?").await;
        assert_eq!(answered.text("agent_message_chunk"), format!("I see {n_seen}."));
    }
    let other = editor.session().await;
    assert_eq!(editor.tell(&other, "how many?").await.text("agent_message_chunk"), "I see 1.");
    let cleared = editor.tell(&session, "/clear").await;
    assert_eq!(cleared.stop_reason(), "end_turn");
    assert_eq!(editor.tell(&session, "how many?").await.text("agent_message_chunk"), "I see 1.");
    let status = editor.tell(&session, "/status").await.text("agent_message_chunk");
    assert!(status.contains("`scripted`") && status.contains("4096"), "{status}");
    let path = editor.tell(&session, "/etc/hosts: how many?").await.text("agent_message_chunk");
    assert_eq!(path, "I see 2.", "a path is no command");
}

#[tokio::test]
async fn the_oldest_turns_are_left_out_when_they_do_not_fit_and_that_is_told() {
    let mut editor = Editor::with(&ready(counting()).await, json!({})).await;
    let session = editor.session().await;
    let long = "x".repeat(900);
    let mut seen = Vec::new();
    let mut remarks = Vec::new();
    for _ in 0..5 {
        let answered = editor.tell(&session, &long).await;
        let told = answered.text("agent_message_chunk");
        let (remark, answer) = told.rsplit_once("_\n\n").unwrap_or(("", &told));
        seen.push(answer.to_owned());
        remarks.push(remark.to_owned());
        assert_eq!(answered.stop_reason(), "end_turn");
    }
    assert_eq!(seen, ["I see 1.", "I see 2.", "I see 3.", "I see 3.", "I see 3."]);
    assert_eq!(remarks[..3], ["", "", ""]);
    for remark in &remarks[3..] {
        assert!(remark.starts_with("_The oldest turn does not fit"), "{remark}");
    }
}

#[tokio::test]
async fn a_client_that_shows_notices_gets_remarks_as_such() {
    let notices = json!({"session": {"notices": {}}});
    let mut editor = Editor::with(&ready(counting()).await, notices).await;
    let session = editor.session().await;
    editor.tell(&session, &"x".repeat(1500)).await;
    let answered = editor.tell(&session, &"x".repeat(1800)).await;
    assert_eq!(answered.text("agent_message_chunk"), "I see 1.");
    let notice = answered.of_kind("notice")[0];
    assert!(notice["title"].as_str().unwrap().starts_with("The oldest turn does not fit"), "{notice}");
}

#[tokio::test]
async fn a_message_that_is_too_long_by_itself_is_refused_and_leaves_no_trace() {
    let mut editor = Editor::with(&ready(counting()).await, json!({})).await;
    let session = editor.session().await;
    editor.tell(&session, "hi").await;
    let answered = editor.tell(&session, &"x".repeat(5000)).await;
    assert_eq!(answered.stop_reason(), "refusal");
    assert!(answered.text("agent_message_chunk").contains("4095 at most"), "{:?}", answered.updates);
    assert_eq!(editor.tell(&session, "how many?").await.text("agent_message_chunk"), "I see 2.");
}

#[tokio::test]
async fn a_text_that_reaches_the_end_of_the_context_is_told_to_be_cut() {
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, json!({})).await;
    let session = editor.session().await;
    assert_eq!(editor.tell(&session, &"x".repeat(4000)).await.stop_reason(), "max_tokens");
}

#[tokio::test]
async fn embedded_files_come_before_the_words() {
    let model = ScriptedModel::saying("Yes.");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    let session = editor.session().await;
    let resource = json!({"uri": "file:///code/src/a.rs", "text": "fn a() {}\n", "mimeType": "text/rust"});
    let blocks = json!([
        text("Is"),
        {"type": "resource", "resource": resource},
        text("right?"),
        link("https://docs.rs/tokio"),
    ]);
    let id = editor.say(&session, blocks).await;
    assert_eq!(editor.answered(id).await.stop_reason(), "end_turn");
    let fed: Vec<u32> = recording.spans().into_iter().flat_map(|it| it.tokens).collect();
    let expected = bytes("user\n`src/a.rs`:\n```\nfn a() {}\n```\n\nIs `src/a.rs` right? `tokio`");
    assert!(fed.windows(expected.len()).any(|it| it == expected));
}

#[tokio::test]
async fn what_the_model_cannot_read_is_refused_by_name() {
    let mut editor = Editor::with(&ready(ScriptedModel::saying("Yes.")).await, json!({})).await;
    let session = editor.session().await;
    let image = json!({"type": "image", "data": "AA==", "mimeType": "image/png"});
    let id = editor.say(&session, json!([text("what is this?"), image])).await;
    let error = editor.answer(id).await["error"].clone();
    let message = "`prompt[1]` must be text or a resource, got `image`: the model reads text only";
    assert_eq!(error, json!({"code": -32602, "message": message, "data": {"field": "prompt[1]"}}));
    assert_eq!(editor.tell(&session, "hi").await.stop_reason(), "end_turn", "the session goes on");
}
