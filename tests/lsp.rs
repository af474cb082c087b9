//! The worker as a language server, with a real model.

use serde_json::{Value, json};

use crate::support::{Framing, Worker, named_model, runabout};

const URI: &str = "file:///code/fib.py";
const TEXT: &str = "def fibonacci(n):\r\n    if n < 2:\r\n        return n\r\n    return ";

/// An editor connected to `runabout COMMAND`, with a document open and the model ready.
fn editor(command: &str) -> Worker {
    let mut program = runabout();
    program.args([command, "--model"]).arg(named_model("smollm2-135m"));
    let mut worker = Worker::spawn(program, Framing::Headers);
    // Whatever the model's confidence.
    let options = json!({"notifications": true, "settings": {"minConfidence": 0}});
    let id = worker.request("initialize", &json!({"capabilities": {}, "initializationOptions": options}));
    let result = worker.result(id);
    assert_eq!(result["capabilities"]["inlineCompletionProvider"], true, "{result}");
    worker.notify("initialized", &json!({}));
    let document = json!({"uri": URI, "languageId": "python", "version": 1, "text": TEXT});
    worker.notify("textDocument/didOpen", &json!({"textDocument": document}));
    worker.wait_for("`ready`", |it| it["method"] == "runabout/status" && it["params"]["state"] == "ready");
    worker
}

/// The params of a request as at a keystroke.
fn at(line: u32, character: u32) -> Value {
    json!({
        "textDocument": {"uri": URI},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 2},
    })
}

#[test]
fn an_editor_is_offered_text_by_both_commands() {
    for command in ["lsp", "serve"] {
        let mut worker = editor(command);
        let id = worker.request("textDocument/inlineCompletion", &at(3, 11));
        let result = worker.result(id);
        let text = result["items"][0]["insertText"].as_str().unwrap();
        assert!(text.contains("fibonacci("), "{result}");
        worker.call("shutdown", &Value::Null);
        worker.notify("exit", &Value::Null);
        assert_eq!(worker.wait_for_exit().code(), Some(0));
    }
}

#[test]
fn text_that_is_typed_as_suggested_is_not_computed_again() {
    let mut worker = editor("lsp");
    let id = worker.request("textDocument/inlineCompletion", &at(3, 11));
    let text = worker.result(id)["items"][0]["insertText"].as_str().unwrap().to_owned();
    let place = json!({"line": 3, "character": 11});
    worker.notify(
        "textDocument/didChange",
        &json!({
            "textDocument": {"uri": URI, "version": 2},
            "contentChanges": [{"range": {"start": place, "end": place}, "text": &text[..3]}],
        }),
    );
    let id = worker.request("textDocument/inlineCompletion", &at(3, 14));
    let report = worker
        .wait_for("a report", |it| it["method"] == "runabout/completion" && it["params"]["version"] == 2);
    assert_eq!(worker.result(id)["items"][0]["insertText"], text[3..]);
    assert_eq!(report["params"]["promptTokens"], report["params"]["cachedTokens"], "{report}");
}
