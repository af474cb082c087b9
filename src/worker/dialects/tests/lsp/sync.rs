//! The documents, kept equal to the editor's.

use runabout_engine::scripted::ScriptedModel;
use serde_json::json;

use super::super::peer::ready;
use super::editor::{Editor, URI, completing, held, position};

#[tokio::test]
async fn positions_count_utf16_units_unless_utf8_was_agreed_on() {
    for (encodings, columns) in [(json!(["utf-16"]), (3, 5)), (json!(["utf-8"]), (5, 9))] {
        let model = ScriptedModel::saying("!!");
        let recording = model.recording();
        let params = json!({"capabilities": {"general": {"positionEncodings": encodings}}});
        let mut editor = Editor::with(&ready(model).await, params).await;
        editor.open("a😀b\n").await;
        editor.change(2, (0, columns.0), (0, columns.0), "😎").await;
        assert!(editor.suggested((0, columns.1)).await.is_object());
        assert!(held(&recording).contains("a😀😎"), "{}", held(&recording));
    }
}

#[tokio::test]
async fn out_of_range_positions_unknown_documents_and_old_versions_are_no_error() {
    let model = completing("cd!\nend.");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    editor.change(1, (0, 0), (0, 0), "nowhere").await;
    editor.notify("textDocument/didClose", json!({"textDocument": {"uri": "file:///nowhere"}})).await;
    editor.notify("textDocument/didChange", json!({"textDocument": 1})).await;
    editor.notify("textDocument/didOpen", json!([])).await;
    editor.open("ab").await;
    editor.open("cd\n").await;
    editor.change(1, (7, 9), (8, 9), "end").await;
    editor.change(0, (0, 99), (0, 99), "!").await;
    let result = editor.suggested((9, 9)).await;
    assert!(held(&recording).contains("cd!\nend"), "{}", held(&recording));
    assert_eq!(result["items"][0]["range"]["start"], position((1, 3)), "where the cursor must be");
}

#[tokio::test]
async fn a_change_without_a_range_replaces_the_document() {
    let model = ScriptedModel::saying("!!");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    editor.open("old").await;
    let params = json!({
        "textDocument": {"uri": URI, "version": null},
        "contentChanges": [{"text": "one\n"}, {"range": {"start": position((1, 0)), "end": position((1, 0))}, "text": "two"}],
    });
    editor.notify("textDocument/didChange", params).await;
    editor.suggested((1, 3)).await;
    assert!(held(&recording).contains("one\ntwo"), "{}", held(&recording));
}

#[tokio::test]
async fn two_thousand_edits_in_a_row_leave_the_text_that_the_editor_has() {
    let model = ScriptedModel::saying("!!");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    let mut lines: Vec<String> = (0..40).map(|it| format!("line {it} 😀")).collect();
    editor.open(&lines.join("\r\n")).await;
    for version in 2..2002_u32 {
        let line_idx = (version * 7) % 40;
        let line = &mut lines[line_idx as usize];
        let inserted = char::from(b'a' + u8::try_from(version % 26).unwrap());
        if version % 3 == 0 {
            // The emoji has two units.
            let n_units = u32::try_from(line.encode_utf16().count()).unwrap();
            line.push(inserted);
            editor.change(version, (line_idx, n_units), (line_idx, n_units), &inserted.to_string()).await;
        } else {
            line.replace_range(0..1, &inserted.to_string());
            editor.change(version, (line_idx, 0), (line_idx, 1), &inserted.to_string()).await;
        }
        if version % 100 == 0 {
            let id = editor.type_at((line_idx, 0)).await;
            editor.answer(id).await;
        }
    }
    editor.suggested((99, 0)).await;
    assert!(held(&recording).contains(&lines.join("\n")), "the model reads LF");
}

#[tokio::test]
async fn of_a_large_document_only_the_part_at_the_cursor_is_read() {
    let model = ScriptedModel::saying("!!");
    let recording = model.recording();
    let mut editor = Editor::with(&ready(model).await, json!({})).await;
    let line = "some words of a long file\n";
    editor.open(&line.repeat(400_000)).await;
    for version in 2..200 {
        editor.change(version, (200_000, 0), (200_000, 0), "x").await;
        editor.suggested((200_000, version - 1)).await;
    }
    let n_fed: usize = recording.spans().iter().map(|it| it.tokens.len()).sum();
    assert!(n_fed < 100_000, "{n_fed}");
    assert!(held(&recording).contains(&format!("{line}xxxx")));
}
