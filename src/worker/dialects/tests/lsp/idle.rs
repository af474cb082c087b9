//! What is computed while the person pauses. The clocks are paused: when all tasks wait, time jumps to the next
//! deadline.

use std::sync::Arc;
use std::time::Duration;

use runabout_engine::scripted::{Recording, ScriptedModel};
use serde_json::{Value, json};

use super::super::peer::ready;
use super::editor::{Editor, completing, n_fed};
use crate::app::App;

/// Waits until the model has been fed more than `n_tokens` and has nothing to do.
async fn idle_after(n_tokens: usize, recording: &Recording, app: &Arc<App>) {
    while n_fed(recording) <= n_tokens || app.model().engine().status().n_running > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_prompt_is_computed_when_the_person_pauses() {
    let model = ScriptedModel::saying(" = 1;");
    let recording = model.recording();
    let app = ready(model).await;
    let mut editor = Editor::curious(&app).await;
    editor.open("fn f() {\n    let x\n}\n").await;
    editor.change(2, (1, 9), (1, 9), "y").await;
    idle_after(0, &recording, &app).await;
    assert!(editor.suggested((1, 10)).await.is_object());
    let report = editor.report();
    let (prompt, cached) =
        (report["promptTokens"].as_u64().unwrap(), report["cachedTokens"].as_u64().unwrap());
    assert_eq!(cached, prompt - 1, "only the last token is fed again");
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_accepted_suggestion_is_there_when_it_is_asked_for() {
    let model = completing("let x = 1 + 2 + 3 + 4 + 5 + 6;");
    let recording = model.recording();
    let app = ready(model).await;
    let short = json!({"initializationOptions": {"settings": {"maxTokens": 8}}});
    let mut editor = Editor::with(&app, short).await;
    editor.open("let x").await;
    let item = editor.suggested((0, 5)).await["items"][0].clone();
    let text = item["insertText"].as_str().unwrap();
    idle_after(n_fed(&recording), &recording, &app).await;
    let before = n_fed(&recording);
    editor.change(2, (0, 5), (0, 5), text).await;
    editor.command("runabout.accept", item["command"]["arguments"].clone()).await;
    let result = editor.suggested((0, 5 + u32::try_from(text.len()).unwrap())).await;
    assert_ne!(result, Value::Null);
    assert_eq!(n_fed(&recording), before, "nothing had to be computed");
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
