//! What the model sees besides the document at the cursor.

use std::fs;
use std::time::Duration;

use runabout_engine::scripted::{Recording, ScriptedModel};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::peer::ready;
use super::editor::{Editor, held, position};

const TEXT: &str = "from lib import price\n\n\ndef total(items):\n    return sum(\n";

/// A workspace whose document `main.py` is open, with the cursor in line 4, and the URI of that document.
async fn open(settings: Value, model: ScriptedModel) -> (TempDir, Editor, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lib.py"), "def price(item, currency=None):\n    return 1\n").unwrap();
    let uri = format!("file://{}", folder.path().display());
    let options = json!({"notifications": true, "settings": settings});
    let params =
        json!({"workspaceFolders": [{"uri": uri, "name": "code"}], "initializationOptions": options});
    let mut editor = Editor::with(&ready(model).await, params).await;
    let uri = format!("{uri}/main.py");
    let document = json!({"uri": uri, "languageId": "python", "version": 1, "text": TEXT});
    editor.notify("textDocument/didOpen", json!({"textDocument": document})).await;
    (folder, editor, uri)
}

async fn suggest(editor: &mut Editor, uri: &str, column: u32) {
    let params = json!({
        "textDocument": {"uri": uri},
        "position": position((4, column)),
        "context": {"triggerKind": 2},
    });
    editor.request("textDocument/inlineCompletion", params).await;
}

/// Asks for suggestions until the model has seen `text`, which takes as long as files are read on another thread.
async fn until_seen(text: &str, editor: &mut Editor, uri: &str, recording: &Recording) {
    for _ in 0..20_000 {
        suggest(editor, uri, 15).await;
        if held(recording).contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the model never saw `{text}`");
}

#[tokio::test]
async fn definitions_that_a_document_imports_are_shown_and_stay_while_a_line_is_typed() {
    let model = ScriptedModel::saying("x");
    let recording = model.recording();
    let (_folder, mut editor, uri) = open(json!({"ahead": false, "context": "project"}), model).await;
    until_seen("def price(item, currency=None)", &mut editor, &uri, &recording).await;
    for (n, typed) in (0_u32..).zip(["p", "r", "i"]) {
        let at = position((4, 15 + n));
        let change = json!({"range": {"start": at, "end": at}, "text": typed});
        let params = json!({"textDocument": {"uri": uri, "version": n + 2}, "contentChanges": [change]});
        editor.notify("textDocument/didChange", params).await;
        suggest(&mut editor, &uri, 16 + n).await;
        assert!(held(&recording).contains("def price(item, currency=None)"), "{}", held(&recording));
        let count = |name: &str| editor.report()[name].as_u64().unwrap();
        let n_computed = count("promptTokens") - count("cachedTokens");
        let n_around = TEXT.len() as u64;
        assert!(n_computed < n_around, "{n_computed} tokens: the context was computed again");
    }
}

#[tokio::test]
async fn what_is_imported_is_read_again_when_the_document_is_saved() {
    let model = ScriptedModel::saying("x");
    let recording = model.recording();
    let (folder, mut editor, uri) = open(json!({"ahead": false, "context": "project"}), model).await;
    until_seen("def price(item, currency=None)", &mut editor, &uri, &recording).await;
    fs::write(folder.path().join("lib.py"), "def price(item, currency=None, vat=0.19):\n    return 1\n")
        .unwrap();
    editor.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}})).await;
    until_seen("vat=0.19", &mut editor, &uri, &recording).await;
}

#[tokio::test]
async fn other_files_are_read_once_the_setting_says_so() {
    let model = ScriptedModel::saying("x");
    let recording = model.recording();
    let (_folder, mut editor, uri) = open(json!({}), model).await;
    suggest(&mut editor, &uri, 15).await;
    let other = json!({"uri": format!("{uri}.py"), "languageId": "python", "version": 1, "text": TEXT});
    editor.notify("textDocument/didOpen", json!({"textDocument": other})).await;
    suggest(&mut editor, &uri, 14).await;
    assert!(held(&recording).contains("def total"), "{}", held(&recording));
    assert!(!held(&recording).contains("def price"), "{}", held(&recording));
    let params = json!({"settings": {"runabout": {"context": "project"}}});
    editor.notify("workspace/didChangeConfiguration", params).await;
    until_seen("def price(item, currency=None)", &mut editor, &uri, &recording).await;
}
