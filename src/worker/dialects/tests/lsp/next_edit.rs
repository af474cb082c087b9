//! The command for the next edit.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::inside_a_step;
use super::super::peer::{loading, ready};
use super::editor::{Editor, URI, completing, held, position};

const DOCUMENT: &str = "fn area(side: f64) -> f64 {\n    side * side\n}\n\nfn main() {\n    area(2.0);\n}\n";

/// An editor whose worker asks the model as one of Sweep's.
async fn editor(model: ScriptedModel) -> Editor {
    let options = json!({"settings": {"nextEdit": "sweep", "ahead": false}});
    Editor::with(&ready(model).await, json!({"initializationOptions": options})).await
}

/// A model that says what the document becomes.
fn rewriting(new: &str) -> ScriptedModel {
    ScriptedModel::saying(&format!("\n{new}"))
}

fn argument(at: (u32, u32)) -> Value {
    json!([{"textDocument": {"uri": URI}, "position": position(at)}])
}

async fn next_edit(editor: &mut Editor, at: (u32, u32)) -> Value {
    editor.command("runabout.nextEdit", argument(at)).await
}

/// Why there was no next edit, as `runabout.info` has it.
async fn why(editor: &mut Editor) -> String {
    let info = editor.info().await;
    assert_eq!(info["nextEdit"]["outcome"], "nothing");
    info["nextEdit"]["message"].as_str().unwrap_or_default().to_owned()
}

fn range(from: (u32, u32), to: (u32, u32)) -> Value {
    json!({"start": position(from), "end": position(to)})
}

#[tokio::test]
async fn what_was_typed_leads_to_edits_elsewhere() {
    let new = DOCUMENT.replace("side", "w");
    let model = rewriting(&new);
    let recording = model.recording();
    let mut editor = editor(model).await;
    editor.open(DOCUMENT).await;
    editor.change(2, (0, 8), (0, 12), "").await;
    editor.change(3, (0, 8), (0, 8), "w").await;
    let result = next_edit(&mut editor, (0, 9)).await;
    assert_eq!(
        result,
        json!({
            "uri": URI,
            "version": 3,
            "edits": [{"range": range((1, 4), (1, 15)), "newText": "w * w"}],
            "jumpTo": position((1, 4)),
            "source": "sweep",
            "confidence": 1.0,
        })
    );
    let prompt = held(&recording);
    let diff = "main.rs.diff\noriginal:\nfn area(side: f64) -> f64 {\nupdated:\nfn area(w: f64) -> f64 {\n";
    assert!(prompt.starts_with(diff), "one edit of two changes: {prompt}");
    assert!(
        prompt.contains(&format!("original/main.rs\n{DOCUMENT}\ncurrent/main.rs\nfn area(w: ")),
        "{prompt}"
    );
}

#[tokio::test]
async fn edits_of_other_documents_are_known_and_positions_count_utf_16_units() {
    let model = rewriting("a 😀 = b\nx 😀 = z");
    let recording = model.recording();
    let mut editor = editor(model).await;
    let other = json!({"uri": "file:///code/other.rs", "languageId": "rust", "version": 1, "text": "old\n"});
    editor.notify("textDocument/didOpen", json!({"textDocument": other})).await;
    let change = json!({"range": range((0, 0), (0, 3)), "text": "new"});
    let params =
        json!({"textDocument": {"uri": "file:///code/other.rs", "version": 2}, "contentChanges": [change]});
    editor.notify("textDocument/didChange", params).await;
    editor.open("a 😀 = b\r\nx 😀 = y").await;
    let result = next_edit(&mut editor, (0, 0)).await;
    assert_eq!(result["edits"], json!([{"range": range((1, 7), (1, 8)), "newText": "z"}]));
    assert!(held(&recording).contains("other.rs.diff\noriginal:\nold\nupdated:\nnew\n"));
}

#[tokio::test]
async fn new_lines_have_the_line_ends_of_the_document() {
    let mut editor = editor(rewriting("a\nb\nc\nd\n")).await;
    editor.open("a\r\nb\r\nd\r\n").await;
    let result = next_edit(&mut editor, (0, 0)).await;
    assert_eq!(result["edits"], json!([{"range": range((2, 0), (2, 0)), "newText": "c\r\n"}]));
}

#[tokio::test]
async fn a_model_that_fills_in_the_middle_inserts_where_the_latest_edit_was() {
    let mut editor = Editor::with(&ready(completing("let b = 2;")).await, json!({})).await;
    editor.open("let a\n\nprint(a)\n").await;
    editor.change(2, (0, 4), (0, 5), "b").await;
    let result = next_edit(&mut editor, (2, 3)).await;
    assert_eq!(result["source"], "fill_in_the_middle");
    assert_eq!(result["edits"], json!([{"range": range((0, 5), (0, 5)), "newText": " = 2;"}]));
    assert_eq!(result["jumpTo"], position((0, 5)));
}

#[tokio::test]
async fn there_is_no_next_edit_where_nothing_changes() {
    let mut editor = editor(rewriting(DOCUMENT)).await;
    assert_eq!(editor.info().await["nextEdit"], Value::Null);
    assert_eq!(next_edit(&mut editor, (0, 0)).await, Value::Null, "the document is not open");
    assert!(why(&mut editor).await.contains("not opened"));
    editor.open(DOCUMENT).await;
    assert_eq!(next_edit(&mut editor, (0, 0)).await, Value::Null);
    assert!(why(&mut editor).await.contains("change nothing"));
    let (app, _still_loading) = loading(ScriptedModel::hashing());
    let mut early = Editor::with(&app, json!({})).await;
    early.open(DOCUMENT).await;
    assert_eq!(next_edit(&mut early, (0, 0)).await, Value::Null, "the model is still being loaded");
    assert!(why(&mut early).await.contains("not ready"));
}

#[tokio::test]
async fn the_settings_for_suggestions_hold_unless_the_person_has_asked() {
    let new = DOCUMENT.replace("2.0", "3.0");
    let model = rewriting(&new).with_logprobs(|_, _| -1.0);
    let mut editor = editor(model).await;
    editor.open(DOCUMENT).await;
    assert_eq!(next_edit(&mut editor, (0, 0)).await, Value::Null, "the model is not sure");
    assert!(why(&mut editor).await.contains("not sure"));
    let mut asked = argument((0, 0));
    asked[0]["context"] = json!({"triggerKind": 1});
    let result = editor.command("runabout.nextEdit", asked.clone()).await;
    assert_eq!(result["edits"][0]["newText"], "3", "{result}");
    assert_eq!(editor.info().await["nextEdit"], json!({"outcome": "offered"}));
    let off = json!({"settings": {"runabout": {"enabled": false, "minConfidence": 0, "nextEdit": "sweep"}}});
    editor.notify("workspace/didChangeConfiguration", off).await;
    assert_eq!(next_edit(&mut editor, (0, 0)).await, Value::Null);
    assert_eq!(editor.command("runabout.nextEdit", asked).await["edits"][0]["newText"], "3");
}

#[tokio::test]
async fn edits_are_for_the_version_that_the_client_has() {
    let mut editor = editor(rewriting(&DOCUMENT.replace("2.0", "3.0"))).await;
    editor.open(DOCUMENT).await;
    for (version, is_offered) in [(1, true), (2, false), (0, false)] {
        let mut argument = argument((0, 0));
        argument[0]["textDocument"]["version"] = json!(version);
        let result = editor.command("runabout.nextEdit", argument).await;
        assert_eq!(result.is_object(), is_offered, "{version}: {result}");
    }
}

#[tokio::test]
async fn a_newer_request_takes_over_and_a_cancelled_one_is_an_error() {
    let mut model = rewriting(&DOCUMENT.replace("2.0", "3.0"));
    let gate = model.gate();
    let mut editor = editor(model).await;
    editor.open(DOCUMENT).await;
    let command = |at| json!({"command": "runabout.nextEdit", "arguments": argument(at)});
    let older = editor.ask("workspace/executeCommand", command((0, 0))).await;
    let gate = inside_a_step(gate).await;
    let newer = editor.ask("workspace/executeCommand", command((1, 0))).await;
    assert_eq!(editor.answer(older).await["result"], Value::Null);
    editor.notify("$/cancelRequest", json!({"id": newer})).await;
    assert_eq!(editor.answer(newer).await["error"]["code"], -32800);
    drop(gate);
}

#[tokio::test]
async fn an_argument_that_cannot_be_read_is_an_error() {
    let mut editor = editor(ScriptedModel::hashing()).await;
    for arguments in [json!([]), json!([{"textDocument": {"uri": URI}}]), json!(["x"])] {
        let params = json!({"command": "runabout.nextEdit", "arguments": arguments});
        let answer = editor.request("workspace/executeCommand", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}
