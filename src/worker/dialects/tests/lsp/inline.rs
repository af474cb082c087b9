//! Suggestions at the cursor.

use std::sync::atomic::{AtomicU8, Ordering};

use runabout_engine::scripted::{END, ScriptedModel};
use serde_json::{Value, json};

use super::super::peer::{failing_to_load, loading, ready};
use super::super::{inside_a_step, one_step};
use super::editor::{Editor, URI, completing, held, inline, n_fed, position};

fn texts(result: &Value) -> Vec<&str> {
    let items = result["items"].as_array().unwrap_or_else(|| panic!("no items: {result}"));
    items.iter().map(|it| it["insertText"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn text_is_suggested_at_the_cursor() {
    let mut editor = Editor::curious(&ready(completing("let x = 1;")).await).await;
    editor.open("let x\n").await;
    let result = editor.suggested((0, 5)).await;
    let item = &result["items"][0];
    assert_eq!(item["insertText"], " = 1;");
    assert_eq!(item["range"], json!({"start": position((0, 5)), "end": position((0, 5))}));
    assert_eq!(item["command"]["command"], "runabout.accept");
    assert_eq!(result["items"].as_array().unwrap().len(), 1);
    let report = editor.report();
    assert_eq!(
        (&report["uri"], &report["version"], &report["outcome"]),
        (&json!(URI), &json!(1), &json!("offered"))
    );
    assert!(report["promptTokens"].as_u64() > Some(5), "{report}");
    assert!(report["totalMs"].as_f64() >= report["firstTokenMs"].as_f64(), "{report}");
    let accepted = editor.command("runabout.accept", item["command"]["arguments"].clone()).await;
    assert_eq!(accepted, Value::Null);
}

#[tokio::test]
async fn what_the_model_is_not_sure_of_is_offered_only_when_asked_for() {
    let model = completing("let x = 1;").with_logprobs(|_, _| -1.0);
    let mut editor = Editor::curious(&ready(model).await).await;
    editor.open("let x\n").await;
    assert_eq!(editor.suggested((0, 5)).await, Value::Null);
    let report = editor.report();
    assert_eq!((&report["outcome"], &report["reason"]), (&json!("nothing"), &json!("low_confidence")));
    assert!((report["confidence"].as_f64().unwrap() - (-5.0_f64).exp()).abs() < 1e-3, "{report}");
    assert_eq!(texts(&editor.invoked((0, 5)).await)[0], " = 1;");
}

#[tokio::test]
async fn a_suggestion_has_the_line_ends_of_its_document() {
    for line_end in ["\n", "\r\n", "\r"] {
        let model = completing("fn f() {\n    g(\n        a,\n    )");
        let mut editor = Editor::curious(&ready(model).await).await;
        editor.open(&["fn f() {", "    g(", "}", ""].join(line_end)).await;
        let result = editor.suggested((1, 6)).await;
        assert_eq!(texts(&result), [["", "        a,", "    )"].join(line_end)], "{line_end:?}");
    }
}

#[tokio::test]
async fn the_selected_entry_of_the_list_is_continued() {
    let model = completing("fn main() { println!(\"\");");
    let recording = model.recording();
    let mut editor = Editor::curious(&ready(model).await).await;
    editor.open("fn main() { pri }\n").await;
    let mut params = inline((0, 15), 2);
    let range = json!({"start": position((0, 12)), "end": position((0, 15))});
    params["context"]["selectedCompletionInfo"] = json!({"range": range, "text": "println"});
    let answer = editor.request("textDocument/inlineCompletion", params).await;
    assert_eq!(texts(&answer["result"]), ["println!(\"\");"]);
    assert_eq!(answer["result"]["items"][0]["range"], range);
    assert!(held(&recording).contains("fn main() { println"));
}

#[tokio::test]
async fn a_newer_request_for_the_document_supersedes_the_older_one() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut editor = Editor::curious(&ready(model).await).await;
    editor.open("fn f").await;
    let older = editor.type_at((0, 4)).await;
    let gate = one_step(gate).await;
    editor.change(2, (0, 4), (0, 4), "\u{1}").await;
    let newer = editor.type_at((0, 5)).await;
    let answer = editor.answer(older).await;
    assert_eq!(answer["result"], Value::Null, "{answer}");
    assert_eq!(editor.report()["reason"], "superseded");
    drop(gate);
    assert_eq!(texts(&editor.answer(newer).await["result"]).len(), 1);
}

#[tokio::test]
async fn what_is_typed_as_suggested_continues_a_run_although_its_request_was_cancelled() {
    let said = "println!(\"{total}\");";
    let mut model = completing(&format!("x;\n{said}"));
    let (recording, gate) = (model.recording(), model.gate());
    let app = ready(model).await;
    let mut editor = Editor::curious(&app).await;
    editor.open("x;\n").await;
    let older = editor.type_at((1, 0)).await;
    let mut gate = gate;
    while !held(&recording).contains("x;\nprin") {
        gate = one_step(gate).await;
    }
    let gate = inside_a_step(gate).await;
    let (before, begun) = (n_fed(&recording), held(&recording));
    let n_begun = begun.rsplit("x;\n").next().unwrap().len();
    editor.notify("$/cancelRequest", json!({"id": older})).await;
    assert_eq!(editor.answer(older).await["error"]["code"], -32800);
    editor.change(2, (1, 0), (1, 0), "pr").await;
    let newer = editor.type_at((1, 2)).await;
    // The step ends when the engine has the newer request.
    while app.model().engine().status().n_waiting == 0 {
        tokio::task::yield_now().await;
    }
    drop(gate);
    assert_eq!(texts(&editor.answer(newer).await["result"]), [&said[2..]]);
    assert_eq!(n_fed(&recording), before + said.len() - n_begun, "nothing is computed twice");
}

#[tokio::test]
async fn a_cancelled_request_is_answered_with_the_error_of_lsp() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let mut editor = Editor::curious(&ready(model).await).await;
    editor.open("fn f").await;
    let id = editor.type_at((0, 4)).await;
    let _gate = inside_a_step(gate).await;
    editor.notify("$/cancelRequest", json!({"id": id})).await;
    assert_eq!(editor.answer(id).await["error"]["code"], -32800);
    assert_eq!(editor.report()["reason"], "cancelled");
}

#[tokio::test]
async fn nothing_is_an_error_in_everyday_use() {
    let (loading, _still_loading) = loading(ScriptedModel::saying("x"));
    let failing = failing_to_load("no such file\nhint: look elsewhere");
    failing.model().engine().stopped().await;
    let blank = ready(ScriptedModel::saying("\n  \n")).await;
    for (app, reason, message) in [
        (loading, "loading", "The model is still being loaded."),
        (failing, "failed", "The model could not be loaded: no such file; look elsewhere"),
        (blank, "empty", "The model has nothing to add here."),
    ] {
        let mut editor = Editor::curious(&app).await;
        editor.open("let x").await;
        assert_eq!(editor.suggested((0, 5)).await, Value::Null);
        assert_eq!(
            (&editor.report()["reason"], &editor.report()["outcome"]),
            (&json!(reason), &json!("nothing"))
        );
        assert_eq!(editor.report()["message"], message);
        assert_eq!(editor.info().await["last"]["reason"], reason);
    }
}

#[tokio::test]
async fn an_unknown_document_has_no_suggestions() {
    let mut editor = Editor::curious(&ready(ScriptedModel::saying("x")).await).await;
    assert_eq!(editor.suggested((0, 0)).await, Value::Null);
    assert_eq!(editor.report()["reason"], "unknown_document");
    editor.open("let x").await;
    editor.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}})).await;
    assert_eq!(editor.suggested((0, 0)).await, Value::Null);
    assert_eq!(editor.report()["reason"], "unknown_document");
}

#[tokio::test]
async fn a_request_that_the_person_makes_has_several_texts() {
    // Every text ends with another letter, since the script cannot tell one sequence from the other.
    let asked = AtomicU8::new(b'a');
    let model = ScriptedModel::new(move |_, n_generated| match n_generated {
        0 => u32::from(b'x'),
        1 => asked.fetch_add(1, Ordering::Relaxed).into(),
        _ => END,
    });
    let mut editor = Editor::curious(&ready(model).await).await;
    editor.open("let x").await;
    let result = editor.invoked((0, 5)).await;
    assert_eq!(texts(&result).len(), 3, "{result}");
    let same = completing("let x_same");
    let mut editor = Editor::curious(&ready(same).await).await;
    editor.open("let x").await;
    let mut params = inline((0, 5), 1);
    params["partialResultToken"] = "p".into();
    let answer = editor.request("textDocument/inlineCompletion", params).await;
    assert_eq!(answer["result"], json!({"items": []}), "the items have been sent");
    let sent: Vec<_> = editor.received.iter().filter(|it| it["method"] == "$/progress").collect();
    assert_eq!(sent.len(), 1, "equal texts are sent once");
    assert_eq!(sent[0]["params"]["token"], "p");
    assert_eq!(sent[0]["params"]["value"]["items"][0]["insertText"], "_same");
}

/// The texts and the commands' ids of the items sent before the result.
fn sent(editor: &Editor) -> Vec<(&str, u64)> {
    let progress = editor.received.iter().filter(|it| it["method"] == "$/progress");
    let items = progress.map(|it| &it["params"]["value"]["items"][0]);
    items
        .map(|it| (it["insertText"].as_str().unwrap(), it["command"]["arguments"][0].as_u64().unwrap()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_text_is_sent_line_by_line_to_a_client_that_takes_growing_items() {
    let block = "\n    a();\n    b();\n    c();";
    let growing = json!({"growingItems": true, "settings": {"ahead": false}});
    for (options, logprob, n_sent) in [
        (growing.clone(), 0.0, 1),
        (growing.clone(), -1.0, 0),
        (json!({"settings": {"ahead": false}}), 0.0, 0),
    ] {
        let model = completing(&format!("fn f() {{{block}")).with_logprobs(move |_, _| logprob);
        let options = json!({"initializationOptions": options});
        let mut editor = Editor::with(&ready(model).await, options).await;
        editor.open("fn f() {\n}\n").await;
        let mut params = inline((0, 8), 2);
        params["partialResultToken"] = 7.into();
        let answer = editor.request("textDocument/inlineCompletion", params).await;
        let sent = sent(&editor);
        // More only if the machine is slow.
        assert!(sent.len() >= n_sent && (n_sent > 0 || sent.is_empty()), "{sent:?}");
        if logprob < 0.0 {
            assert_eq!(answer["result"], Value::Null, "not sure enough");
            continue;
        }
        let item = &answer["result"]["items"][0];
        assert_eq!(item["insertText"], block);
        for (text, id) in sent {
            assert!(block.starts_with(&format!("{text}\n")) && text.contains("a();"), "{text:?}");
            assert_eq!(item["command"]["arguments"], json!([id]), "the same suggestion");
        }
    }
}

#[tokio::test]
async fn the_kinds_of_triggers_of_both_versions_of_lsp_are_understood() {
    let off = json!({"initializationOptions": {"settings": {"enabled": false}}});
    let mut editor = Editor::with(&ready(ScriptedModel::saying("x")).await, off).await;
    editor.open("let ").await;
    // With automatic suggestions off, only those are answered that the person asks for.
    let kind = async |editor: &mut Editor, context: Value| {
        let params = json!({"textDocument": {"uri": URI}, "position": position((0, 4)), "context": context});
        let answer = editor.request("textDocument/inlineCompletion", params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].is_object()
    };
    let kinds = |it: Value| json!({"triggerKind": it});
    for (context, is_invoked) in [
        (kinds(json!(1)), true),
        (kinds(json!(2)), false),
        (kinds(json!(1.0)), true),
        (kinds(json!("Invoked")), false),
        (kinds(Value::Null), false),
        (json!({}), false),
        (Value::Null, false),
        (kinds(json!(0)), true),
        // Now it is one of the older clients.
        (kinds(json!(1)), false),
    ] {
        assert_eq!(kind(&mut editor, context.clone()).await, is_invoked, "{context}");
    }
}

#[tokio::test]
async fn the_list_has_the_suggestion_too_if_that_is_switched_on() {
    let model = async || ready(ScriptedModel::saying("\n    todo!()\n")).await;
    let on = json!({"initializationOptions": {"settings": {"completionList": true}}});
    let mut editor = Editor::of(&model().await);
    let capabilities = editor.initialize(on.clone()).await["capabilities"].clone();
    assert_eq!(capabilities["completionProvider"], json!({}));
    editor.open("fn f() {").await;
    let params = json!({"textDocument": {"uri": URI}, "position": position((0, 8))});
    let answer = editor.request("textDocument/completion", params.clone()).await;
    let item = &answer["result"]["items"][0];
    assert_eq!((&item["label"], &item["kind"]), (&json!("todo!()"), &json!(1)));
    assert_eq!(item["textEdit"]["newText"], "\n    todo!()");
    let mut editor = Editor::with(&ready(completing("let größe = größe_neu;")).await, on).await;
    editor.open("let größe = grö\n").await;
    let params = json!({"textDocument": {"uri": URI}, "position": position((0, 15))});
    let item = editor.request("textDocument/completion", params.clone()).await["result"]["items"][0].clone();
    assert_eq!((&item["label"], &item["filterText"]), (&json!("größe_neu;"), &json!("größe_neu;")));
    let range = json!({"start": position((0, 12)), "end": position((0, 15))});
    assert_eq!(item["textEdit"], json!({"range": range, "newText": "größe_neu;"}), "it begins with the word");
    let mut editor = Editor::of(&model().await);
    let capabilities = editor.initialize(json!({})).await["capabilities"].clone();
    assert_eq!(capabilities.get("completionProvider"), None);
    let answer = editor.request("textDocument/completion", params).await;
    assert_eq!(answer["result"]["items"], json!([]), "the document is unknown");
}
