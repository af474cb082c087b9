//! What is computed while the person pauses. The clocks are paused: when all tasks wait, time jumps to the next
//! deadline.

use std::time::Duration;

use runabout_engine::scripted::{Recording, ScriptedModel};
use serde_json::{Value, json};

use super::super::peer::ready;
use super::editor::{Editor, completing, held, n_fed};

/// Waits until the model holds a text that ends like this.
async fn holds(text: &str, recording: &Recording) {
    while !held(recording).trim_end().ends_with(text) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The numbers of tokens of the last suggestion's prompt, and of those that were in the cache.
fn cached(editor: &Editor) -> (u64, u64) {
    let report = editor.report();
    (report["promptTokens"].as_u64().unwrap(), report["cachedTokens"].as_u64().unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_prompt_is_computed_when_the_person_pauses() {
    let model = ScriptedModel::saying("xy = 1;");
    let recording = model.recording();
    let mut editor = Editor::curious(&ready(model).await).await;
    editor.open("fn f() {\n    let x\n}\n").await;
    editor.change(2, (1, 9), (1, 9), "y").await;
    holds("let", &recording).await;
    assert!(editor.suggested((1, 10)).await.is_object());
    let (n_prompt, n_cached) = cached(&editor);
    assert_eq!(n_cached, n_prompt - 1, "only the last token is fed again");
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_accepted_suggestion_is_there_when_it_is_asked_for() {
    let model = completing("let x = 1 + 2 + 3 + 4 + 5 + 6;");
    let recording = model.recording();
    let options = json!({"notifications": true, "settings": {"maxTokens": 8}});
    let app = ready(model).await;
    let mut editor = Editor::with(&app, json!({"initializationOptions": options})).await;
    editor.open("let x").await;
    let item = editor.suggested((0, 5)).await["items"][0].clone();
    let text = item["insertText"].as_str().unwrap();
    let before = n_fed(&recording);
    while n_fed(&recording) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    editor.change(2, (0, 5), (0, 5), text).await;
    editor.command("runabout.accept", item["command"]["arguments"].clone()).await;
    let result = editor.suggested((0, 5 + u32::try_from(text.len()).unwrap())).await;
    assert_ne!(result, Value::Null);
    let (n_prompt, n_cached) = cached(&editor);
    assert_eq!(n_cached, n_prompt, "it continues what was computed ahead");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_computed_ahead_if_that_is_switched_off() {
    let model = ScriptedModel::saying(" = 1;");
    let recording = model.recording();
    let off = json!({"initializationOptions": {"settings": {"ahead": false}}});
    let mut editor = Editor::with(&ready(model).await, off).await;
    editor.open("let x").await;
    editor.suggested((0, 5)).await;
    let before = n_fed(&recording);
    tokio::time::sleep(Duration::from_secs(10)).await;
    editor.info().await;
    assert_eq!(n_fed(&recording), before);
}

#[tokio::test(start_paused = true)]
async fn the_first_suggestion_in_a_large_document_comes_from_the_text_near_the_cursor() {
    let model = ScriptedModel::saying(" = 1;");
    let recording = model.recording();
    let mut editor = Editor::curious(&ready(model).await).await;
    // It is too large to be computed before there is a cursor.
    let lines = "    let a = 1;\n".repeat(1000);
    editor.open(&format!("fn f() {{\n{lines}    let x\n}}\n")).await;
    assert!(editor.suggested((1001, 9)).await.is_object());
    let report = editor.report().clone();
    let [n_near, n_left_out] = ["promptTokens", "leftOutTokens"].map(|it| report[it].as_u64().unwrap());
    assert!(n_left_out > n_near, "{report}");
    // Meanwhile the rest is computed.
    while n_fed(&recording) < usize::try_from(n_near + n_left_out).unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(editor.suggested((1001, 9)).await.is_object());
    assert_eq!(editor.report().get("leftOutTokens"), None);
    assert_eq!(cached(&editor), (n_near + n_left_out, n_near + n_left_out - 1));
}
